import json
from dataclasses import replace

import pytest

from mammo.database import open_database
from mammo.errors import LabelStudioError, ReadingConflict, UnknownReading
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.readings import ReadingRules, summarise
from mammo.readings.predictions import ARBITER_VERSION, swapped
from mammo.readings.projects import BASIS_KEY, CASE_KEY
from tests.mammo.readings.clinic import PEOPLE, Clinic, Killed
from tests.mammo.readings.drawing import lesion

HERE, NEAR, ELSEWHERE = lesion(10, 10, 30, 30), lesion(11, 10, 31, 30), lesion(50, 50, 70, 70)


@pytest.fixture
def clinic(engine, tmp_path):
    clinic = Clinic(engine, tmp_path, rounds=1)
    clinic.create()
    yield clinic
    clinic.store.close()


@pytest.fixture
def two_rounds(engine, tmp_path):
    clinic = Clinic(engine, tmp_path, rounds=2)
    clinic.create()
    yield clinic
    clinic.store.close()


def test_each_reader_has_a_project_with_every_image_and_the_arbiter_an_empty_one(clinic):
    double = clinic.service.records.find(clinic.source)
    assert {role: len(reader_project.tasks) for (role, _), reader_project in double.projects.items()} == {
        "reader-1": 3,
        "reader-2": 3,
        "arbiter": 0,
    }
    assert len({reader_project.id for reader_project in double.projects.values()}) == 3
    for task in clinic.site.tasks(double.project("reader-1").id):
        assert task["predictions"] == []
        source = clinic.site.by_id[int(task["data"][CASE_KEY].partition("/")[2])]
        assert task["data"] == source["data"] | {CASE_KEY: f"{clinic.source}/{source['id']}"}


def test_the_readers_do_not_meet_the_images_in_the_same_order(engine, tmp_path):
    clinic = Clinic(engine, tmp_path, images=12)
    double = clinic.create()
    orders = [
        sorted(double.project(r).tasks, key=double.project(r).tasks.get) for r in ("reader-1", "reader-2")
    ]
    assert sorted(orders[0]) == sorted(orders[1]) == clinic.cases
    assert orders[0] != orders[1]
    clinic.store.close()


def test_new_images_and_a_changed_labeling_config_reach_both_readers(clinic):
    new = clinic.site._task(clinic.source, {"image": "new.png"})
    clinic.site.rows[clinic.source]["label_config"] += "<!-- changed -->"
    step = clinic.service.sync(clinic.source)
    assert step.added == {"reader-1 round 1": 1, "reader-2 round 1": 1}
    assert clinic.task("reader-2", new)
    assert len({row["label_config"] for row in clinic.site.rows.values()}) == 1
    assert clinic.service.sync(clinic.source).added == {}


def test_a_project_whose_tasks_show_lists_of_mammograms_is_refused(engine, tmp_path):
    clinic = Clinic(engine, tmp_path, rounds=1)
    config = clinic.site.rows[clinic.source]["label_config"]
    clinic.site.rows[clinic.source]["label_config"] = config.replace('value="$image"', 'valueList="$image"')
    with pytest.raises(ReadingConflict, match="lists of mammograms"):
        clinic.create()
    clinic.store.close()


def test_agreed_disagreed_and_unread_cases_are_distinguished(clinic):
    agreed, disputed, unread = clinic.cases
    clinic.both_read(agreed, [HERE], [NEAR])
    clinic.both_read(disputed, [HERE], [HERE, ELSEWHERE])
    clinic.read("reader-1", unread, [])
    step = clinic.service.sync(clinic.source)
    assert step.repaired == 5
    assert [clinic.outcome(case) for case in clinic.cases] == ["agreed", "disagreed", "waiting"]
    summary = summarise(clinic.service.records.find(clinic.source), clinic.service.cases(clinic.source))
    assert summary.waiting_for == {"arbitrate": 1, "reader-2": 1}
    assert summary.disagreements == {"presence": 1}
    assert (summary.kappa.patients, summary.lesions.both, summary.lesions.only_second) == (2, 2, 1)
    assert json.loads(json.dumps(summary.to_json()))["outcomes"] == {
        "agreed": 1,
        "disagreed": 1,
        "waiting": 1,
    }


def test_only_a_disagreement_reaches_the_arbiter_with_both_readings_and_no_trace_of_who_read(clinic):
    agreed, disputed, _ = clinic.cases
    clinic.both_read(agreed, [HERE], [HERE])
    first = replace(HERE, prompts=(), score=0.37)  # a reader may have accepted a region that a model proposed
    clinic.both_read(disputed, [first], [ELSEWHERE, HERE])
    assert clinic.service.arbitrate(clinic.source).added == {"arbiter": 1}
    reader_project = clinic.service.records.find(clinic.source).project("arbiter")
    (task,) = clinic.site.tasks(reader_project.id)
    assert task["id"] == reader_project.tasks[disputed]
    assert clinic.site.rows[reader_project.id]["model_version"] == ARBITER_VERSION
    shown = [from_regions(prediction["result"], tags=ControlTags()) for prediction in task["predictions"]]
    expected = [1, 2] if not swapped(clinic.source, disputed, secret=b"key") else [2, 1]
    assert [len(findings) for findings in shown] == expected
    text = json.dumps(task["predictions"])
    for trace in ("0.37", "hand", "reader", "completed_by", "annotator"):
        assert trace not in text
    assert [{r["meta"]["text"][0] for r in p["result"]} for p in task["predictions"]] == [
        {"reading A"},
        {"reading B"},
    ]
    assert len({(p["score"], p["model_version"]) for p in task["predictions"]}) == 1


def test_which_reader_is_a_is_drawn_for_each_case_and_never_changes():
    drawn = [swapped(1, case, secret=b"key") for case in range(400)]
    assert 150 < sum(drawn) < 250
    assert drawn == [swapped(1, case, secret=b"key") for case in range(400)]
    assert drawn != [swapped(1, case, secret=b"other") for case in range(400)]


def test_a_second_round_goes_to_both_readers_with_the_own_reading_only_and_then_to_the_arbiter(two_rounds):
    clinic, (agreed, settled, disputed) = two_rounds, two_rounds.cases
    clinic.both_read(agreed, [HERE], [HERE])
    clinic.both_read(settled, [HERE], [])
    clinic.both_read(disputed, [HERE], [ELSEWHERE])
    assert clinic.service.arbitrate(clinic.source).added == {}, "the second look comes first"
    assert clinic.service.second_look(clinic.source).added == {"reader-1 round 2": 2, "reader-2 round 2": 2}
    mine = clinic.site.by_id[clinic.task("reader-1", disputed, 2)]["predictions"]
    theirs = clinic.site.by_id[clinic.task("reader-2", disputed, 2)]["predictions"]
    assert [from_regions(p["result"], tags=ControlTags())[0].box for p in mine] == [HERE.box]
    assert [from_regions(p["result"], tags=ControlTags())[0].box for p in theirs] == [ELSEWHERE.box]
    clinic.both_read(settled, [HERE], [HERE], 2)
    clinic.read("reader-1", disputed, [HERE], 2)
    clinic.service.sync(clinic.source)
    assert [clinic.outcome(case) for case in clinic.cases] == ["agreed", "agreed", "disagreed"]
    assert clinic.state(settled).decisive_round == 2
    assert clinic.service.arbitrate(clinic.source).added == {}, "one reader has not looked again"
    clinic.read("reader-2", disputed, [ELSEWHERE], 2)
    assert clinic.service.arbitrate(clinic.source).added == {"arbiter": 1}
    summary = summarise(clinic.service.records.find(clinic.source), clinic.service.cases(clinic.source))
    assert summary.kappa.only_first == 1, "kappa is of the first round, where nobody had looked again"
    clinic.read("arbiter", disputed, [ELSEWHERE])
    clinic.service.sync(clinic.source)
    assert clinic.outcome(disputed) == "arbitrated"


def test_a_second_look_may_begin_with_nothing(engine, tmp_path):
    clinic = Clinic(engine, tmp_path, rounds=2, second_look="nothing")
    clinic.create()
    clinic.both_read(clinic.cases[0], [HERE], [])
    clinic.service.second_look(clinic.source)
    assert clinic.site.by_id[clinic.task("reader-1", clinic.cases[0], 2)]["predictions"] == []
    clinic.store.close()


def test_sources_are_never_overwritten(two_rounds):
    clinic, case = two_rounds, two_rounds.cases[0]
    first, second = clinic.both_read(case, [HERE], [ELSEWHERE])

    def said():
        tasks = [clinic.task(role, case) for role in ("reader-1", "reader-2")]
        return json.dumps([clinic.site.annotations(task) for task in tasks])

    before = said()
    clinic.service.second_look(clinic.source)
    clinic.both_read(case, [HERE], [NEAR, ELSEWHERE], 2)
    clinic.service.arbitrate(clinic.source)
    clinic.read("arbiter", case, [NEAR])
    clinic.service.sync(clinic.source)
    assert said() == before
    state = clinic.state(case)
    assert [each.annotation_id for each in state.rounds[0]] == [first, second]
    assert len(state.rounds) == 2


def test_an_annotation_of_another_account_does_not_count_and_is_reported(clinic):
    case = clinic.cases[0]
    clinic.both_read(case, [HERE], [HERE])
    clinic.read("reader-1", case, [ELSEWHERE], user=11)  # the second reader opened the first one's project
    clinic.service.sync(clinic.source)
    assert clinic.outcome(case) == "agreed"
    assert clinic.service.cases(clinic.source).ignored == {"reader-1": 1}


def test_a_task_that_readers_settle_later_is_withdrawn_unless_the_arbiter_has_begun_it(clinic):
    settled, begun, changed = clinic.cases
    for case in clinic.cases:
        clinic.both_read(case, [HERE], [ELSEWHERE])
    clinic.service.arbitrate(clinic.source)
    clinic.site.by_id[clinic.task("arbiter", begun)]["drafts"].append({"id": 1})
    before = clinic.site.by_id[clinic.task("arbiter", changed)]["data"][BASIS_KEY]
    clinic.read("reader-2", settled, [HERE])
    clinic.read("reader-2", begun, [HERE])
    clinic.read("reader-2", changed, [ELSEWHERE, HERE])
    step = clinic.service.arbitrate(clinic.source)
    assert (step.added, step.removed) == ({"arbiter": 1}, 2)
    reader_project = clinic.service.records.find(clinic.source).project("arbiter")
    assert sorted(reader_project.tasks) == [begun, changed]
    now = clinic.site.by_id[clinic.task("arbiter", changed)]
    assert now["data"][BASIS_KEY] != before
    assert {len(from_regions(p["result"], tags=ControlTags())) for p in now["predictions"]} == {1, 2}
    again = clinic.service.arbitrate(clinic.source)
    assert (again.added, again.removed) == ({}, 0)


def test_stricter_rules_make_a_disagreement_of_an_agreement(clinic):
    case = clinic.cases[0]
    clinic.both_read(case, [HERE], [NEAR])
    clinic.service.sync(clinic.source)
    assert clinic.outcome(case) == "agreed"
    clinic.service.records.change_rules(clinic.source, least_dice=0.99)
    assert clinic.outcome(case) == "disagreed"
    clinic.service.records.change_rules(clinic.source, least_dice=0.5)
    assert clinic.outcome(case) == "agreed"


def everything(clinic):
    """All steps of two rounds, with the people doing their part where their tasks are there."""
    agreed, disputed, _ = clinic.cases
    clinic.create()
    clinic.both_read(agreed, [HERE], [HERE])
    clinic.both_read(disputed, [HERE], [ELSEWHERE])
    clinic.service.second_look(clinic.source)
    clinic.both_read(disputed, [HERE], [ELSEWHERE], 2)
    clinic.service.arbitrate(clinic.source)


@pytest.mark.parametrize("after", [False, True], ids=["before it was done", "after it was done"])
def test_a_run_killed_at_any_change_and_repeated_creates_every_task_exactly_once(tmp_path, after):
    def fresh(name):
        return Clinic(open_database(f"sqlite:///{tmp_path / name}.db"), tmp_path)

    whole = fresh("whole")
    everything(whole)
    for kill_at in range(2, whole.site.changes + 1):
        clinic = fresh(f"killed-{kill_at}")
        clinic.site.kill_at, clinic.site.kill_after = kill_at, after
        with pytest.raises(Killed):
            everything(clinic)
        everything(clinic)
        assert clinic.task_titles() == whole.task_titles(), kill_at
        assert len(clinic.site.rows) == len(whole.site.rows)
        clinic.store.close()
        clinic.engine.dispose()
    assert kill_at > 10
    whole.store.close()


def test_a_duplicate_task_of_a_killed_import_is_removed_unless_somebody_has_begun_it(clinic):
    case, other, _ = clinic.cases
    reader_project = clinic.service.records.find(clinic.source).project("reader-1")
    late = [
        clinic.site._task(reader_project.id, clinic.site.by_id[reader_project.tasks[each]]["data"])
        for each in (case, other)
    ]
    clinic.site.by_id[late[1]]["drafts"].append({"id": 1})
    assert clinic.service.sync(clinic.source).removed == 1
    assert late[0] not in clinic.site.by_id
    assert late[1] in clinic.site.by_id
    assert clinic.service.records.find(clinic.source).project("reader-1").tasks == reader_project.tasks


def test_a_second_concurrent_step_is_refused_because_it_would_create_tasks_twice(clinic):
    with clinic.service._exclusive(), pytest.raises(ReadingConflict, match="is running") as refused:
        clinic.service.sync(clinic.source)
    assert refused.value.code == "reading_busy"
    clinic.service.sync(clinic.source)


def test_conflicting_requests_are_refused_with_a_reason(clinic):
    service = clinic.service
    with pytest.raises(UnknownReading, match=f"projects that have one: {clinic.source}"):
        service.sync(999)
    with pytest.raises(LabelStudioError):
        service.create(999, rules=ReadingRules())
    with pytest.raises(UnknownReading):
        service.records.find(999)
    with pytest.raises(ReadingConflict, match="other rules"):
        service.create(clinic.source, rules=ReadingRules(least_dice=0.9), emails=PEOPLE)
    with pytest.raises(ReadingConflict, match="three different people"):
        service.create(clinic.source, rules=clinic.rules, emails=PEOPLE | {"arbiter": PEOPLE["reader-1"]})
    with pytest.raises(ReadingConflict, match="invite"):
        service.create(clinic.source, rules=clinic.rules, emails={"arbiter": "nobody@example.org"})
    reader_project = service.records.find(clinic.source).project("reader-1")
    with pytest.raises(ReadingConflict, match=f"name project {clinic.source}"):
        service.create(reader_project.id, rules=ReadingRules())


def test_a_foreign_project_with_the_same_title_is_left_alone(engine, tmp_path):
    clinic = Clinic(engine, tmp_path)
    theirs = clinic.site.create_project(f"Double reading {clinic.source}: reader 1", "<View/>")
    with pytest.raises(ReadingConflict, match="was not created for this double reading"):
        clinic.create()
    assert clinic.site.tasks(theirs) == []
    clinic.store.close()


@pytest.mark.parametrize("change", [{"patient": ["p0"]}, {"spacing_mm": "wide"}])
def test_a_case_whose_task_cannot_be_read_is_unreadable_and_says_why(engine, tmp_path, change):
    clinic = Clinic(engine, tmp_path, rounds=1)
    case = clinic.cases[0]
    clinic.site.by_id[case]["data"].update(change)
    clinic.create()
    clinic.both_read(case, [], [])
    clinic.service.sync(clinic.source)
    state = clinic.state(case)
    assert state.outcome == "unreadable"
    assert state.problem
    assert state.patient
    clinic.store.close()
