"""What nobody waits for yet: unfinished batches, new tasks, images about to be clicked on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from backend import backlog as module
from backend.backlog import Backlog
from mammo.annotations import Receipt
from mammo.errors import LabelStudioError
from mammo.labelstudio import labeling_config
from tests.backend.backlogs import is_done_within
from tests.backend.fakes import BOX, HOOK, Backend

TASKS = [{"id": n, "data": {"image": "/x.png", "sha256": f"{n:064d}"}} for n in range(4)]


def waiting(backend: Backend) -> Backlog:
    found = backend.client.app.state.backlog  # type: ignore[attr-defined]
    assert isinstance(found, Backlog)
    return found


def test_tasks_that_do_not_fit_are_empty_at_once_and_there_at_the_next_call() -> None:
    backend = Backend(changes={"predict_seconds": 1.0})
    backend.model.seconds = lambda: time.sleep(1.1)
    with backend.client:
        first = backend.predict(*TASKS, label_config=labeling_config()).json()["results"]
        assert [r.get("reason") for r in first] == [None, "out_of_time", "out_of_time", "out_of_time"]
        assert is_done_within(10, waiting(backend))
        second = backend.predict(*TASKS, label_config=labeling_config()).json()["results"]
    assert all(r["result"] for r in second)
    assert backend.counted('yolo_mlsam_predictions_total{outcome="unfinished"} 3.0')


def test_label_studio_asks_again_for_what_is_unfinished_and_never_for_what_cannot_be_read() -> None:
    backend = Backend(changes={"predict_seconds": 1e-9})
    (late,) = backend.predict(TASKS[0]).json()["results"]
    backend = Backend()
    away, broken = backend.predict(
        {"id": 8, "data": {"image": "/away.png"}}, {"id": 9, "data": {"image": "/broken.png"}}
    ).json()["results"]
    assert late["model_version"] == away["model_version"] == "m1+unfinished"
    assert broken["model_version"] == "m1"


def test_new_tasks_are_prelabelled_before_anybody_opens_them_but_only_the_first_ones() -> None:
    backend = Backend(changes={"prefetch_tasks": 2})
    event = {
        "action": "TASKS_CREATED",
        "tasks": [task | {"project": 3} for task in TASKS],
        "project": {"id": 3, "label_config": labeling_config()},
    }
    with backend.client:
        assert backend.client.post("/webhook", json=event, headers=HOOK).status_code == 201
        assert is_done_within(10, waiting(backend))
    assert set(backend.store.prelabels) == {(3, 0, "m1"), (3, 1, "m1")}


def annotated(task: int = 0, sampling: str = "Sequential sampling") -> dict[str, object]:
    project = {"id": 3, "label_config": labeling_config(), "sampling": sampling}
    return {"action": "ANNOTATION_CREATED", "task": {"id": task}, "annotation": {}, "project": project}


def following(asked: list[tuple[object, ...]]) -> Callable[..., list[dict[str, Any]]]:
    def next_tasks(project: int, task: int, count: int, *, by_score: bool = False) -> list[dict[str, Any]]:
        asked.append((project, task, by_score))
        return [each | {"project": project} for each in TASKS[task + 1 : task + 1 + count]]

    return next_tasks


def test_while_a_task_is_annotated_the_next_ones_are_prelabelled_opened_and_embedded() -> None:
    asked: list[tuple[object, ...]] = []
    backend = Backend(
        parts={"label_studio": SimpleNamespace(next_tasks=following(asked), close=lambda: None)}
    )
    with backend.client:
        backend.client.post("/webhook", json=annotated(), headers=HOOK)
        assert is_done_within(10, waiting(backend))
        assert asked == [(3, 0, False)]
        assert set(backend.store.prelabels) == {(3, 1, "m1"), (3, 2, "m1")}
        opened, embedded = backend.images.num_opened, len(backend.model.clicks)
        backend.client.post("/webhook", json=annotated() | {"again": 1}, headers=HOOK)
        assert is_done_within(10, waiting(backend))
        assert backend.model.clicks[embedded:] == [(BOX, (), ())] * 2, "where the prelabel found something"
        assert backend.images.num_opened == opened, "the images are still open"
        backend.predict(TASKS[1])
        assert is_done_within(10, waiting(backend))
        assert backend.images.num_opened == opened, "and open for who opens the task"


def test_the_least_certain_tasks_are_next_where_the_project_asks_for_them_first() -> None:
    asked: list[tuple[object, ...]] = []
    backend = Backend(
        parts={"label_studio": SimpleNamespace(next_tasks=following(asked), close=lambda: None)}
    )
    with backend.client:
        backend.client.post("/webhook", json=annotated(sampling="Uncertainty sampling"), headers=HOOK)
        assert is_done_within(10, waiting(backend))
    assert asked == [(3, 0, True)]


def test_a_label_studio_that_does_not_tell_what_is_next_costs_nothing() -> None:
    def away(*_: int, by_score: bool = False) -> list[dict[str, Any]]:
        raise LabelStudioError("gone", code="label_studio_unreachable")

    backend = Backend(parts={"label_studio": SimpleNamespace(next_tasks=away, close=lambda: None)})
    with backend.client:
        assert backend.client.post("/webhook", json=annotated(), headers=HOOK).status_code == 201
        assert is_done_within(10, waiting(backend))
    assert not backend.store.prelabels


@pytest.mark.parametrize("change", [{"tasks": 5}, {"tasks": [5]}, {"project": 5}, {"tasks": [{"id": "x"}]}])
def test_an_event_about_new_tasks_that_makes_no_sense_is_kept_all_the_same(change: dict[str, object]) -> None:
    backend = Backend()
    kept = Receipt(event=1, duplicate=False, project=3, num_revisions=0)
    backend.store.append = lambda *_, **__: kept  # type: ignore[method-assign]
    event = {"action": "TASKS_CREATED", "tasks": [], "project": {"id": 3}} | change
    with backend.client:
        answer = backend.client.post("/webhook", content=orjson.dumps(event), headers=HOOK)
        assert answer.status_code == 201
        assert is_done_within(10, waiting(backend))


def test_an_opened_task_has_its_image_ready_for_the_first_click() -> None:
    backend = Backend()
    with backend.client:
        backend.predict(TASKS[0])
        backend.predict(TASKS[0])
        assert is_done_within(10, waiting(backend))
    assert backend.images.num_opened == 2  # one for the prelabel, one for the click to come


def test_nothing_is_begun_while_a_request_is_open() -> None:
    backlog, done = Backlog(), threading.Event()
    backlog.start()
    with backlog.request():
        backlog.add("a", done.set)
        assert not done.wait(0.1)
    assert done.wait(5)
    backlog.stop()


def test_a_failure_does_not_stop_the_rest_and_of_one_key_one_piece_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    backlog, done, last = Backlog(), [], threading.Event()

    def fail() -> None:
        done.append("bug")
        raise ZeroDivisionError

    backlog.add("dropped", lambda: done.append("dropped"))
    backlog.add("bug", fail)
    backlog.add("a", lambda: done.append("old"))
    backlog.add("a", lambda: done.append("new"))
    backlog.add("b", last.set)
    backlog.start()
    assert last.wait(5)
    backlog.stop()
    assert done == ["bug", "new"]
