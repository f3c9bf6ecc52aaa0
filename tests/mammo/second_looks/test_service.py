"""Labels are sent back to their readers, and what they answer is recorded with its cause."""

import pytest

from mammo.audit import AuditTrail
from mammo.geometry import Box
from mammo.labelstudio.project_tags import ProjectTags
from mammo.second_looks import LabelDoubt, SecondLookService, precision_by
from mammo.second_looks.precision import Precision
from mammo.second_looks.records import DoubtRecords
from mammo.second_looks.service import FIELD
from tests.fakes.label_studio import FakeLabelStudio
from tests.mammo.corrected import CONFIG, correct
from tests.training.detections import square

FIRST, SECOND = square(20, 20, name="c1"), square(200, 20, name="c2")
ELSEWHERE = square(300, 200, name="c3")


class Clinic:
    def __init__(self, store, engine):
        self.store = store
        self.server = FakeLabelStudio()
        self.server.projects[1] = {"id": 1, "label_config": CONFIG}
        self.server.users = [{"id": 7, "first_name": "Ada", "last_name": "Reader"}, {"id": 8}]
        client = self.server.client()
        self.looks = SecondLookService(
            records=DoubtRecords(engine), store=store, client=lambda: client, tags=ProjectTags(client)
        )
        for task in range(1, 6):
            self.server.add_tasks(1, {"image": f"/data/{task}.png"})
            correct(store, FIRST, task=task, annotation=task, user=7 if task < 4 else 8)
        self.revisions = {each.annotation_id: each.revision for each in store.correction_headers(1)}

    def doubt(self, task, cause="missed", score=0.9, box=SECOND.box, **facts):
        revision = self.revisions[task]
        return LabelDoubt(
            task=task,
            annotation=task,
            image="",
            revision=revision,
            cause=cause,
            score=score,
            box=box,
            **facts,
        )

    def raise_(self, *doubts):
        self.looks.records.replace(1, doubts, search={})

    def send(self, limit=100):
        return self.looks.send_back(1, limit=limit, actor="lena")

    def answers(self):
        return {each.task: each.answer for each in self.looks.records.answered(1)}

    def data(self, task):
        return self.server.tasks[task - 1]["data"]


@pytest.fixture
def clinic(store, engine):
    return Clinic(store, engine)


def test_the_strongest_are_sent_to_a_tab_of_each_reader_that_says_what_to_look_at(clinic, engine):
    clinic.raise_(
        clinic.doubt(1, score=0.9),
        clinic.doubt(4, "outline", score=0.8, box=FIRST.box, distance_mm=3.21, model_version="m1"),
        clinic.doubt(2, "hasty", score=0.2, box=None),
    )
    sent = clinic.send(limit=2)
    assert (sent.doubts, sent.tasks, set(sent.tabs)) == (2, 2, {7, 8})
    assert [tab["data"]["title"] for tab in clinic.server.tabs] == [
        "Default",
        "Second look: Ada Reader",
        "Second look: user 8",
    ]
    (condition,) = clinic.server.tabs[2]["data"]["filters"]["items"]
    assert condition["filter"] == f"filter:tasks:data.{FIELD}"
    assert condition["value"] in clinic.data(4)[FIELD]
    assert condition["value"] not in clinic.data(1)[FIELD]
    assert "an outline may be off by 3.2 mm" in clinic.data(4)[FIELD]
    assert FIELD not in clinic.data(2), "not among the two strongest"
    entry = AuditTrail(engine).newest(limit=1)[0]
    assert (entry.actor, entry.action, entry.subject) == ("lena", "labels sent back", "project 1")


def test_a_change_at_the_place_says_that_the_label_was_wrong_and_one_elsewhere_does_not(clinic):
    clinic.raise_(*(clinic.doubt(task) for task in (1, 2, 3, 4)))
    clinic.send()
    assert clinic.looks.settle(1) == 0, "nobody has answered"
    correct(clinic.store, FIRST, SECOND, task=1, annotation=1, minutes=5)  # found it
    correct(clinic.store, FIRST, task=2, annotation=2, minutes=5)  # updated as it was
    correct(clinic.store, FIRST, ELSEWHERE, task=3, annotation=3, minutes=5)
    assert clinic.looks.settle(1) == 3
    assert clinic.answers() == {1: "changed", 2: "confirmed", 3: "confirmed"}
    assert FIELD not in clinic.data(1), "it leaves the tab"
    assert FIELD in clinic.data(4)
    assert clinic.looks.settle(1) == 0, "an answer is recorded once"
    (found,) = clinic.looks.records.of_annotation(1)
    assert (found.cause, found.answer) == ("missed", "changed")
    (everything,) = clinic.looks.precision(1)["all"]
    assert (everything.changed, everything.answered) == (1, 3)


def test_what_was_removed_or_drawn_anew_was_wrong(clinic):
    clinic.raise_(
        clinic.doubt(1, "nothing-there", box=FIRST.box),
        clinic.doubt(2, "outline", box=FIRST.box, distance_mm=2.0),
        clinic.doubt(3, "readers-differ", box=None),
    )
    clinic.send()
    correct(clinic.store, task=1, annotation=1, minutes=5)
    correct(clinic.store, square(24, 24, name="c1"), task=2, annotation=2, minutes=5)
    correct(clinic.store, FIRST, ELSEWHERE, task=3, annotation=3, minutes=5)
    clinic.looks.settle(1)
    assert clinic.answers() == {1: "changed", 2: "changed", 3: "changed"}


def test_a_search_replaces_what_is_open_and_does_not_ask_the_same_again(clinic):
    clinic.raise_(clinic.doubt(1), clinic.doubt(2))
    clinic.send(limit=1)
    clinic.raise_(
        clinic.doubt(1, box=Box(205, 22, 215, 32)), clinic.doubt(1, "hasty", box=None), clinic.doubt(3)
    )
    assert [(each.task, each.cause) for each in clinic.looks.records.ranked(1, limit=9, is_open=True)] == [
        (1, "hasty"),
        (3, "missed"),
    ]


def test_a_task_that_is_gone_is_not_sent_and_the_others_are(clinic):
    clinic.raise_(clinic.doubt(1), clinic.doubt(4))
    del clinic.server.tasks[0]
    sent = clinic.send()
    assert (sent.doubts, sent.gone, set(sent.tabs)) == (1, 1, {8})
    assert [each.task for each in clinic.looks.records.ranked(1, limit=9, is_open=True)] == [1]


@pytest.mark.parametrize(("changed", "answered", "low", "high"), [(0, 10, 0.0, 0.278), (7, 10, 0.397, 0.892)])
def test_the_interval_of_a_precision_is_wilsons(changed, answered, low, high):
    found = Precision(group="all", answered=answered, changed=changed)
    assert found.interval == pytest.approx((low, high), abs=1e-3)
    assert precision_by([], lambda _: "all") == []
