"""Requests that no Label Studio sends, against the real store: every one is answered, and none with a fault of ours."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
import uvicorn

from backend.middleware import BodyLimit
from mammo.annotations import AnnotationStore
from tests.backend.fakes import BASIC, HOOK, Backend

VALUES: list[Any] = [
    None, True, -1, 0, 2**31, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63), 1.5, 1e300, "", "x", "\0", "1", [], {}, [1],
    {"id": 2**70}, {"id": "1"}, {"id": [1]}, {"id": 3},
]  # fmt: skip
ANNOTATION = {
    "id": 5, "result": [], "task": 1, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"
}  # fmt: skip
EVENT = {
    "annotation": ANNOTATION, "task": {"id": 1, "data": {}}, "tasks": [{"id": 1, "data": {}}],
    "annotations": [{"id": 5}], "project": {"id": 3},
}  # fmt: skip
POINT = {
    "id": "k", "type": "keypointlabels", "from_name": "prompt-point", "to_name": "image", "is_positive": True,
    "original_width": 160, "original_height": 120, "image_rotation": 0, "origin": "manual",
    "value": {"x": 1, "y": 1, "keypointlabels": ["Cluster"]},
}  # fmt: skip


@pytest.fixture
def backend(any_engine: sa.Engine) -> Iterator[Backend]:
    store = AnnotationStore(any_engine)
    yield Backend(store=store)  # type: ignore[arg-type]
    store.close()


def faults(backend: Backend, path: str, bodies: Iterator[Any]) -> list[tuple[Any, int]]:
    found = []
    for body in bodies:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        status = backend.client.post(path, content=content, headers={**BASIC, **HOOK}).status_code
        if status >= 500:
            found.append((content[:200], status))
    return found


def events() -> Iterator[Any]:
    for value in VALUES:
        for field in EVENT:
            yield {"action": "ANNOTATION_CREATED", **EVENT, field: value}
        for field in (*ANNOTATION, "completed_by", "lead_time", "was_cancelled", "prediction"):
            yield {"action": "ANNOTATION_UPDATED", **EVENT, "annotation": ANNOTATION | {field: value}}
        for action in ("ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "TASKS_CREATED", "START_TRAINING"):
            yield {"action": action, **EVENT, "project": value}
        yield {"action": "ANNOTATIONS_DELETED", **EVENT, "annotations": [value]}
        yield {"action": "ANNOTATIONS_CREATED", **EVENT, "annotation": [value], "task": [value]}


def predictions() -> Iterator[Any]:
    task = {"id": 1, "data": {}}
    for value in VALUES:
        for field in ("tasks", "project", "params"):
            yield {"tasks": [task], "project": "3.1", field: value}
        for field in ("id", "data", "project"):
            yield {"tasks": [task | {field: value}], "project": "3.1"}
        for field in POINT:
            yield {"tasks": [task], "params": {"context": {"result": [POINT | {field: value}]}}}


def test_no_event_however_odd_is_a_fault(backend: Backend) -> None:
    assert faults(backend, "/webhook", events()) == []


def test_no_predict_request_however_odd_is_a_fault(backend: Backend) -> None:
    assert faults(backend, "/predict", predictions()) == []


@pytest.mark.parametrize("path", ["/webhook", "/predict", "/setup"])
def test_a_body_of_a_hundred_thousand_brackets_is_no_fault(path: str) -> None:
    deep = b'{"action":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    bodies = [deep, b'{"a": NaN}', b'{"action": "\\ud800"}', b'{"project": {"id": ' + b"9" * 500 + b"}}"]
    assert faults(Backend(), path, iter(bodies)) == []


@pytest.mark.parametrize("stated", [b"-1", b"\xb2", b"1e3", b"9" * 30, b"5, 5", b""])
def test_a_length_that_is_none_is_refused_by_whoever_hears_of_it(stated: bytes) -> None:
    """A web server in front may let through what uvicorn refuses."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def never(*_: Any) -> None:
        raise AssertionError("it must not be read")

    scope = {"type": "http", "headers": [(b"content-length", stated)]}
    asked = BodyLimit(never, max_bytes=10)(scope, never, send)
    with ThreadPoolExecutor(
        1
    ) as pool:  # a browser that this process had before keeps a loop in the main thread
        pool.submit(asyncio.run, asked).result()
    assert sent[0]["status"] == 413


def test_headers_without_end_are_refused_by_the_web_server_which_goes_on() -> None:
    config = uvicorn.Config(Backend().client.app, host="127.0.0.1", port=0, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    address = server.servers[0].sockets[0].getsockname()

    def ask(more: bytes) -> bytes:
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\n" + more + b"\r\n")
            return connection.recv(100)

    try:
        for much in (
            b"X: " + b"a" * 200_000 + b"\r\n",
            b"X: a\r\n" * 50_000,
            b"Authorization: " + b"a" * 200_000,
        ):
            assert ask(much).startswith(b"HTTP/1.1 400 ")
        assert ask(b"").startswith(b"HTTP/1.1 200 ")
    finally:
        server.should_exit = True
        thread.join()
