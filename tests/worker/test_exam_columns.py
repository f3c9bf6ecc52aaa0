"""What the list of tasks says of the prediction of an exam."""

from mammo.labelstudio.exam_config import exam_config
from tests.fakes.label_studio import FakeLabelStudio
from tests.worker.test_prelabelling import FakePrelabeller, prelabel, shown


def test_the_list_of_exams_says_what_was_found_but_nothing_of_a_withheld_one(store):
    """Also of an exam that was predicted when it was opened; what others wrote into the task meanwhile stays."""
    server = FakeLabelStudio()
    server.add_project(1, config=exam_config())
    exam = {"rcc": "1.png", "lcc": "2.png", "rmlo": "", "lmlo": "", "findings": "", "note": ""}
    server.add_tasks(1, exam, dict(exam), dict(exam))
    prelabel(server, store, withheld=lambda project, task, data: "blind" if task == 2 else None)
    said = [(each["data"]["findings"], each["data"]["note"]) for each in server.tasks]
    assert said == [(2, ""), ("", ""), (2, "")]
    server.tasks[0]["data"] |= {"findings": "", "reading_order": "0000001"}
    prelabel(server, store, withheld=lambda project, task, data: "blind" if task == 2 else None)
    assert server.tasks[0]["data"] == exam | {"findings": 2, "reading_order": "0000001"}


def test_nothing_is_written_about_a_withheld_exam_that_has_a_prediction_already(store):
    server = FakeLabelStudio()
    server.add_project(1, config=exam_config())
    server.add_tasks(1, {"rcc": "1.png", "lcc": "", "rmlo": "", "lmlo": "", "findings": "", "note": ""})
    prelabel(server, store)
    server.tasks[0]["data"]["findings"], server.projects[1]["model_version"] = "", ""
    prelabel(server, store, withheld=lambda *_: "assisted")
    assert server.tasks[0]["data"]["findings"] == ""
    assert not shown(server)


def test_a_prediction_of_this_version_that_somebody_else_wrote_stops_nothing(store):
    server = FakeLabelStudio()
    server.add_project(1, config=exam_config())
    exam = {"rcc": "1.png", "lcc": "", "rmlo": "", "lmlo": "", "findings": "", "note": ""}
    server.add_tasks(1, exam, dict(exam))
    foreign = {"task": 1, "model_version": FakePrelabeller.version, "result": [{"from_name": "x"}]}
    server.predictions.append({"id": 77, **foreign})
    assert prelabel(server, store)["predicted"] == 1
    assert [each["data"]["findings"] for each in server.tasks] == [0, 1]


def test_the_list_of_exams_follows_the_version_that_is_shown_again_after_a_rollback(store):
    server = FakeLabelStudio()
    server.add_project(1, config=exam_config())
    server.add_tasks(1, {"rcc": "1.png", "lcc": "", "rmlo": "", "lmlo": "", "findings": "", "note": ""})
    prelabel(server, store)
    server.tasks[0]["data"]["findings"] = 7  # of a newer version
    prelabel(server, store)
    assert server.tasks[0]["data"]["findings"] == 1
    before = len(server.log)
    prelabel(server, store)
    assert [each.method for each in server.log[before:]].count("PATCH") == 1, "the version that is shown"
