"""A Redis that hangs or is full, against the real backend over real HTTP: each answer comes in time, and is true."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
import redis

from mammo.broker import redis_connection
from mammo.runs.jobs import JobQueue
from tests.backend_process import BackendProcess
from tests.retraining_site import own_redis

pytestmark = pytest.mark.timeout(300)

LIMIT = 6.0
"""Seconds in which a request is answered, whatever Redis does: the two that are promised, and four for a busy machine.

Without a bound it waits for as long as Redis hangs."""


@pytest.fixture(scope="module")
def server():
    with own_redis() as redis_server:
        yield redis_server


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the backend logs."""
    return tmp_path_factory.mktemp("backend") / "log"


@pytest.fixture(scope="module")
def backend(server, log: Path) -> Iterator[BackendProcess]:
    process = BackendProcess(
        {
            "YOLO_MLSAM_AUTH_PASSWORD": "p",
            "YOLO_MLSAM_WEBHOOK_SECRET": "s",
            "YOLO_MLSAM_RUNTIME": "torch",
            "YOLO_MLSAM_RECIPE": "smoke",
            "YOLO_MLSAM_DATA_DIR": str(log.parent / "data"),
            "YOLO_MLSAM_REDIS_URL": server.url,
        },
        log=log,
    )
    process.start()
    try:
        process.wait(serves=True)  # loading a model takes all cores
        for project in (1, 9):
            annotate(process, project)
        yield process
    finally:
        process.kill()


def annotate(backend: BackendProcess, project: int) -> None:
    """Correct images of as many patients as a run of the recipe smoke needs."""
    for number in range(project * 10, project * 10 + 2):
        annotation = {"id": number, "task": number, "result": [], "was_cancelled": False, "completed_by": 1}
        task = {"id": number, "data": {"image": f"/data/{number}.png", "patient": f"patient {number}"}}
        event = {"action": "ANNOTATION_CREATED", "project": {"id": project}, "task": task}
        event |= {"annotation": annotation | {"updated_at": "2026-11-27T08:00:00Z"}}
        assert backend.send(orjson.dumps(event)).status_code == 201


def ask(backend: BackendProcess, path: str, **body: object) -> httpx.Response:
    """Ask, as the console or Prometheus does; the answer comes in time."""
    began = time.monotonic()
    method = "POST" if body else "GET"
    answer = httpx.request(
        method,
        f"{backend.url}{path}",
        json=body or None,
        auth=("label-studio", "p"),
        timeout=30,
        trust_env=False,
    )
    assert time.monotonic() - began < LIMIT, path
    return answer


def start_training(backend: BackendProcess, project: int) -> dict[str, object]:
    """Press the button *Start training*; the answer comes in time."""
    began = time.monotonic()
    answer = backend.send(orjson.dumps({"action": "START_TRAINING", "project": {"id": project}}))
    assert time.monotonic() - began < LIMIT
    assert answer.status_code == 201
    body: dict[str, object] = answer.json()
    return body


def test_while_redis_hangs_what_is_asked_is_recorded_said_so_and_done_once(server, backend, log) -> None:
    queue = JobQueue(redis_connection(server.url))
    assert ask(backend, "/metrics").text.count("yolo_mlsam_broker_up 1.0") == 1
    server.hang()

    pressed = start_training(backend, 1)
    training = pressed["training"]
    assert isinstance(training, dict)
    assert (training["queued"], "not known whether" in training["waits"]) == (True, True)
    started = ask(backend, "/projects/2/runs", reason="by hand", recipe="provisional")
    assert (started.status_code, "not known whether" in started.json()["waits"]) == (202, True)
    cancelled = ask(backend, f"/runs/{started.json()['run']}/cancel", reason="no")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    resumed = ask(backend, f"/runs/{started.json()['run']}/resume", reason="yes")
    assert (resumed.status_code, "not known whether" in resumed.json()["waits"]) == (202, True)
    assert ask(backend, "/metrics").text.count("yolo_mlsam_broker_up 0.0") == 1
    assert ask(backend, "/runs").status_code == 200

    server.go_on()
    again = start_training(backend, 1)
    assert again["job"] == pressed["job"]
    assert queue.active(1) == pressed["job"]
    assert queue.condition().waiting <= 2, "no run twice"
    assert ask(backend, "/metrics").text.count("yolo_mlsam_broker_up 1.0") == 1
    assert "Traceback" not in log.read_text()


def test_a_full_redis_is_said_to_be_full_and_the_run_waits(server, backend, log) -> None:
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("maxmemory", "1")
        pressed = start_training(backend, 9)
        training = pressed["training"]
        assert isinstance(training, dict)
        assert (training["queued"], "has no memory left" in training["waits"]) == (True, True)
        assert ask(backend, "/metrics").text.count("yolo_mlsam_broker_up 1.0") == 1
        admin.config_set("maxmemory", "0")
    assert start_training(backend, 9)["job"] == pressed["job"]
    assert JobQueue(redis_connection(server.url)).active(9) == pressed["job"]
    assert "Traceback" not in log.read_text()
