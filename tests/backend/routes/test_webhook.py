"""/webhook: 2xx only for what is kept; asking for a retrain never takes that back."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from backend.routes.webhook import UNKNOWN
from mammo.annotations import Receipt
from mammo.audit import AuditTrail
from mammo.errors import InsufficientData, StorageUnavailable
from mammo.labelstudio.client import SECRET_HEADER
from mammo.notifications import NewChannel
from mammo.runs.jobs import Enqueued
from mammo.runs.payloads import Retrain
from tests.backend.fakes import BASIC, HOOK, Backend, FakeStore
from tests.fakes.label_studio import FakeLabelStudio

SAVED = {"action": "ANNOTATION_CREATED", "project": {"id": 3}, "annotation": {"id": 1, "result": []}}
START = {"action": "START_TRAINING", "project": {"id": 3}}


def send(backend: Backend, body: Any, headers: Mapping[str, str | bytes] = HOOK) -> Any:
    return backend.client.post("/webhook", content=orjson.dumps(body), headers=headers)


def test_an_event_is_kept_word_for_word_before_it_is_answered() -> None:
    backend = Backend()
    answer = send(backend, SAVED)
    assert answer.status_code == 201
    assert answer.json() == {"status": "ok", "event": 1, "duplicate": False}
    assert backend.store.events == [("ANNOTATION_CREATED", orjson.dumps(SAVED))]


@pytest.mark.parametrize("headers", [HOOK, BASIC])
def test_the_secret_header_opens_it_and_so_does_basic_auth(headers: dict[str, str]) -> None:
    assert send(Backend(), SAVED, headers).status_code == 201


@pytest.mark.parametrize("secret", ["", "wrong", "right-secre", "right-secret2", "r\u00e4ight"])
def test_a_wrong_secret_keeps_it_shut(secret: str) -> None:
    backend = Backend()
    answer = send(backend, SAVED, {SECRET_HEADER: secret.encode("latin-1")})
    assert answer.status_code == 401
    assert backend.store.events == []


def test_an_empty_secret_opens_nothing() -> None:
    backend = Backend(changes={"webhook_secret": ""})
    assert send(backend, SAVED, {SECRET_HEADER: ""}).status_code == 401
    assert send(backend, SAVED, {}).status_code == 401


@pytest.mark.parametrize("action", ["PROJECT_UPDATED", "SOMETHING_NEW", "LABEL_LINK_CREATED"])
def test_actions_we_do_not_know_are_kept_too(action: str) -> None:
    backend = Backend()
    assert send(backend, {"action": action}).status_code == 201
    assert [kept for kept, _ in backend.store.events] == [action]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'"text"',
        b"{}",
        b'{"action": 5}',
        b'{"action": ""}',
        b'{"action": "\\u0000"}',
        b"\xff",
    ],
)
def test_what_is_no_event_is_refused_and_not_kept(body: bytes) -> None:
    backend = Backend()
    answer = backend.client.post("/webhook", content=body, headers=HOOK)
    assert (answer.status_code, answer.json()["error"]) == (400, "http_400")
    assert backend.store.events == []


def test_when_it_cannot_be_kept_the_answer_is_503_and_no_retrain_is_asked_for() -> None:
    backend = Backend(changes={"train_after": 1})
    backend.store.down = True
    for body in (SAVED, START):
        answer = send(backend, body)
        assert (answer.status_code, answer.json()["error"]) == (503, "storage_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert backend.queue.asked == []


def test_events_that_wait_for_the_database_keep_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, append = threading.Event(), FakeStore.append

    def slow(store: FakeStore, body: bytes, **more: Any) -> Receipt:
        assert gate.wait(30)
        return append(store, body, **more)

    monkeypatch.setattr(FakeStore, "append", slow)
    with Backend().client as client, ThreadPoolExecutor(60) as pool:
        sent = [
            pool.submit(client.post, "/webhook", content=orjson.dumps(SAVED | {"n": number}), headers=HOOK)
            for number in range(50)  # more than the threads that all routes share
        ]
        assert client.get("/health").status_code == 200
        assert client.get("/runs", headers=BASIC).status_code == 200
        assert not any(answer.done() for answer in sent)
        gate.set()
        assert {answer.result(30).status_code for answer in sent} == {201}


def test_start_training_asks_for_one_retrain_of_its_project_and_names_the_job() -> None:
    backend = Backend(changes={"recipe": "smoke"})
    first, second = send(backend, START, BASIC), send(backend, START, BASIC)
    assert backend.queue.asked[0] == Retrain(project=3, recipe="smoke", reason="START_TRAINING")
    assert first.json()["job"].startswith("retrain-3-")
    assert first.json()["job"] == second.json()["job"]
    assert [answer.json()["training"] for answer in (first, second)] == [
        {"queued": True, "created": True}, {"queued": True, "created": False},
    ]  # fmt: skip


def test_start_training_with_the_queue_down_is_a_run_that_waits_and_says_so() -> None:
    backend = Backend()
    backend.queue.down = True
    answer = send(backend, START)
    assert answer.status_code == 201
    problem = "the job queue does not answer"
    assert answer.json()["training"] == {"queued": True, "created": True, "waits": problem}
    assert len(backend.store.events) == 1
    assert [run.state for run in backend.services.site.runs.runs.newest(project=3)] == ["queued"]


class Hanging:
    """A queue that takes a job, and says so late."""

    def enqueue_retrain(self, payload: Retrain, *, run: str | None = None) -> Enqueued:
        time.sleep(0.5)
        return Enqueued("late", created=True)


def test_start_training_does_not_wait_for_a_queue_that_hangs_and_names_the_recorded_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("backend.routes.webhook.REQUEST_SECONDS", 0.1)
    backend = Backend(queue=Hanging())  # type: ignore[arg-type]
    answer = send(backend, START)
    assert answer.status_code == 201
    (run,) = backend.services.site.runs.runs.newest(project=3)
    assert answer.json()["job"] == run.id
    assert answer.json()["training"]["queued"] is True
    assert "the job queue is slow" in answer.json()["training"]["waits"]


def test_the_button_is_refused_with_the_reason_of_http_which_people_find_elsewhere() -> None:
    backend = Backend(parts={"make_room": lambda: None})
    backend.store.dataset = None
    answers = [send(backend, START | {"n": n}).json()["training"] for n in range(2)]
    assert (
        answers[0]
        == answers[1]
        == {
            "queued": False,
            "reason": "a run of project 3 cannot succeed: there is no correction yet; annotate some tasks first",
        }
    )
    over_http = backend.client.post("/projects/3/runs", json={}, headers=BASIC)
    assert over_http.json()["message"] == answers[0]["reason"]
    site = backend.services.site
    assert site.runs.runs.newest() == []
    (entry,) = AuditTrail(site.engine).newest()  # once, although it was pressed twice
    assert (entry.action, entry.actor, entry.subject) == ("run refused", "START_TRAINING", "project 3")
    assert backend.counted('yolo_mlsam_training_requests_total{outcome="refused"} 3.0')


def test_a_refusal_is_told_where_a_channel_wants_it_also_in_the_models_note() -> None:
    backend = Backend(parts={"make_room": lambda: None})
    told = backend.services.site.notifications
    told.add(NewChannel(kind="note", target="", project=3), actor="anna")
    backend.store.dataset = None
    send(backend, START)
    told.round()
    (note,) = told.notes(3)
    assert note.endswith(
        "Start training did nothing: a run of project 3 cannot succeed: there is no correction yet; "
        "annotate some tasks first."
    )
    assert told.notes(4) == []


@pytest.mark.parametrize("lookup", ["slow", "away", "nothing"])
def test_what_a_slow_database_has_recorded_is_not_known_and_said_so(
    monkeypatch: pytest.MonkeyPatch, lookup: str
) -> None:
    monkeypatch.setattr("backend.routes.webhook.REQUEST_SECONDS", 0.05)
    monkeypatch.setattr("backend.routes.webhook.LOOKUP_SECONDS", 0.05)
    backend = Backend()
    runs = backend.services.site.runs

    def active(project: int) -> None:
        if lookup == "slow":
            time.sleep(0.5)
        if lookup == "away":
            raise StorageUnavailable("locked")

    monkeypatch.setattr("backend.requested_runs.require_possible", lambda *_, **__: None)
    monkeypatch.setattr(runs, "start", lambda *_, **__: time.sleep(0.5))
    monkeypatch.setattr(runs.runs, "active", active)
    answer = send(backend, START)
    assert answer.status_code == 201
    assert answer.json()["training"] == {"queued": None, "reason": UNKNOWN}
    assert "job" not in answer.json()


def test_enough_new_corrections_start_a_retrain_and_fewer_do_not() -> None:
    backend = Backend(changes={"train_after": 3})
    for count in (1, 2, 3):
        backend.store.num_corrections = count
        assert send(backend, SAVED | {"n": count}).status_code == 201
    assert [job.reason for job in backend.queue.asked] == ["3 new corrections"]


def test_without_a_threshold_corrections_start_nothing() -> None:
    backend = Backend()
    backend.store.num_corrections = 1000
    send(backend, SAVED)
    assert backend.queue.asked == []


def test_the_same_event_twice_is_a_duplicate_and_starts_nothing_again() -> None:
    backend = Backend(changes={"train_after": 1})
    backend.store.num_corrections = 1
    answers = [send(backend, SAVED).json()["duplicate"] for _ in range(2)]
    assert answers == [False, True]
    assert len(backend.queue.asked) == 1


def test_a_queue_that_is_down_at_the_threshold_costs_neither_the_event_nor_the_run() -> None:
    backend = Backend(changes={"train_after": 1})
    backend.store.num_corrections, backend.queue.down = 5, True
    assert send(backend, SAVED).status_code == 201
    assert backend.counted('yolo_mlsam_training_requests_total{outcome="queued"} 1.0')
    assert [run.trigger for run in backend.services.site.runs.runs.newest()] == ["corrections"]


def test_corrections_of_too_few_patients_start_nothing_by_themselves() -> None:
    backend = Backend(changes={"train_after": 1, "train_least_patients": 2})
    backend.store.num_corrections = 5
    for patients in (1, 2):
        backend.store.num_patients = patients
        send(backend, SAVED | {"n": patients})
        assert len(backend.queue.asked) == patients - 1


def test_five_corrections_of_two_patients_start_a_provisional_model_where_the_site_wants_that() -> None:
    backend = Backend(changes={"provisional_after": 5})
    for corrections, patients in ((4, 2), (5, 1), (5, 2)):
        backend.store.num_corrections, backend.store.num_patients = corrections, patients
        send(backend, SAVED | {"n": 10 * corrections + patients})
    (job,) = backend.queue.asked
    assert (job.recipe, job.reason) == ("provisional", "5 new corrections of 2 patients")


def test_with_patients_enough_for_the_gate_no_provisional_model_is_started() -> None:
    backend = Backend(changes={"provisional_after": 5, "gate_min_patients": 3})
    for patients in (12, 11):
        backend.store.num_corrections, backend.store.num_patients = 40, patients
        send(backend, SAVED | {"n": patients})
        assert len(backend.queue.asked) == 12 - patients


def test_metrics_count_known_actions_by_name_and_all_others_together() -> None:
    backend = Backend()
    for action in ("ANNOTATION_CREATED", "x1", "x2"):
        send(backend, {"action": action})
    assert backend.counted(
        'yolo_mlsam_webhook_events_total{action="ANNOTATION_CREATED",duplicate="false"} 1.0'
    )
    assert backend.counted('yolo_mlsam_webhook_events_total{action="other",duplicate="false"} 2.0')


def test_a_fault_of_ours_is_a_500_without_a_word_of_it_for_the_caller(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("PatientName=Doe^Jane")

    backend = Backend()
    monkeypatch.setattr(backend.store, "append", fail)
    answer = send(backend, SAVED)
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    log = capsys.readouterr().out
    assert "RuntimeError" in log
    assert "test_webhook.py" in log
    assert "Doe^Jane" not in log + answer.text


def test_a_refusal_of_which_only_the_numbers_changed_is_recorded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = iter((12, 11))

    def refuse(*_: Any, **__: Any) -> None:
        raise InsufficientData(f"annotate about {next(needed)} more patients first")

    monkeypatch.setattr("backend.requested_runs.require_possible", refuse)
    backend = Backend(parts={"make_room": lambda: None})
    said = [send(backend, START | {"n": n}).json()["training"]["reason"] for n in range(2)]
    assert [each.split()[2] for each in said] == ["12", "11"]
    (entry,) = AuditTrail(backend.services.site.engine).newest()
    assert "12" in entry.reason


def test_a_button_that_is_pressed_at_every_save_compares_changed_tasks_only() -> None:
    asked: list[tuple[int, dict[str, bool]]] = []
    backend = Backend(
        parts={"make_room": lambda: None, "reconcile": lambda project, **how: asked.append((project, how))}
    )
    backend.store.dataset = None
    backend.services.site.__dict__["label_studio"] = FakeLabelStudio().client()
    send(backend, START)
    assert asked == [(3, {})]
