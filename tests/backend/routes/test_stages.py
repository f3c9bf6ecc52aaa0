"""What annotators are given in each stage, and the stage itself over HTTP."""

import time

import pytest

from mammo.efforts.effort_records import Efforts
from mammo.errors import StageRefused
from mammo.stages import StageLog, StageRules, StageService
from tests.backend.fakes import BASIC, Backend
from tests.backend.test_suggestions import click, clicked
from tests.waiting import until

TASK = {"id": 7, "data": {"image": "/x.png", "sha256": "a" * 64}}


def backend(why=None):
    return Backend(parts={"withholding": lambda project, task, data: why})


@pytest.mark.parametrize("why", ["assisted", "blind"])
def test_a_withheld_task_gets_no_prediction_at_all_and_our_silent_copy_is_kept(why):
    made = backend(why)
    with made.client:
        assert made.predict(TASK).json() == {"results": [[]]}
        until(lambda: made.store.prelabels)
    kept = made.store.prelabels[3, 7, "m1"]
    assert kept.regions
    assert kept.shown_at is None
    assert made.counted('yolo_mlsam_predictions_total{outcome="withheld"} 1.0')


def test_it_is_predicted_once_however_often_it_is_opened():
    made = backend("blind")
    with made.client:
        made.predict(TASK)
        until(lambda: made.store.prelabels)
        count = len(made.model.prelabelled)
        for _ in range(3):
            assert made.predict(TASK).json() == {"results": [[]]}
        time.sleep(0.1)
    assert len(made.model.prelabelled) == count


def test_only_the_withheld_tasks_of_a_batch_are_empty():
    made = Backend(parts={"withholding": lambda project, task, data: "blind" if task == 8 else None})
    results = made.predict(TASK, {**TASK, "id": 8}, {**TASK, "id": 9}).json()["results"]
    assert [bool(result) for result in results] == [True, False, True]
    assert made.store.prelabels[3, 7, "m1"].shown_at
    assert (3, 8, "m1") not in made.store.prelabels


def test_a_silent_prediction_counts_as_shown_from_the_moment_it_is_handed_out():
    made = backend("assisted")
    with made.client:
        made.predict(TASK)
        until(lambda: made.store.prelabels)
        made.services.site.__dict__["withholding"] = lambda *_: None
        (result,) = made.predict(TASK).json()["results"]
    assert result["result"]
    assert made.store.prelabels[3, 7, "m1"].shown_at


def test_clicks_are_answered_in_every_stage():
    answer = click(backend("assisted"), clicked(12, 30, positive=True))
    assert [region["type"] for region in answer["result"]] == ["polygonlabels"]


@pytest.fixture
def site(engine):
    desk = StageService(
        StageLog(engine),
        efforts=lambda project: Efforts(),
        served_version=lambda project: "m1",
        rules=lambda project: StageRules(),
    )
    return Backend(parts={"stages": desk})


def change(site, **order):
    order = {"stage": "assisted", "by": "Dr A", "reason": "new scanner", **order}
    return site.client.post("/projects/4/stage", json=order, headers=BASIC)


def test_the_stage_is_shown_and_changed_with_its_log(site):
    shown = site.client.get("/projects/4/stage", headers=BASIC).json()
    assert (shown["stage"], shown["history"]) == ("semi-automatic", [])
    assert shown["proposal"]["stage"] == "semi-automatic"
    changed = change(site).json()
    assert changed["stage"] == "assisted"
    (row,) = changed["history"]
    assert (row["actor"], row["reason"], row["before"]) == ("Dr A", "new scanner", "semi-automatic")


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"stage": "automatic"}, 409),
        ({"stage": "self-driving"}, 422),
        ({"by": ""}, 422),
        ({"reason": " "}, 409),
    ],
)
def test_what_is_not_allowed_changes_nothing(site, order, status):
    answer = change(site, **order)
    assert answer.status_code == status
    assert site.client.get("/projects/4/stage", headers=BASIC).json()["history"] == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_strangers_learn_and_change_nothing(site, method):
    assert getattr(site.client, method)("/projects/4/stage").status_code == 401


def test_refusals_are_told_by_their_code(site):
    assert change(site, stage="automatic").json()["error"] == StageRefused.code
