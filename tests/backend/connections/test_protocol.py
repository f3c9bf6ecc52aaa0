"""Whatever a client leaves undone has a deadline, and whoever works within it is left alone."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.backend.connections.served import (
    BASIC_LINE,
    EVENT,
    HOOK_LINE,
    event,
    is_open,
    one_answer,
    rest,
    serving,
    status,
)
from tests.waiting import until

LONG = 600.0
"""Seconds that no test waits: a deadline that is not the one under test."""

NEVER = {"idle_seconds": LONG, "head_seconds": LONG, "body_seconds": LONG, "stall_seconds": LONG}
HEAD_ONLY = b"POST /webhook HTTP/1.1\r\nHost: here\r\n" + HOOK_LINE + b"Content-Length: 100000\r\n\r\n"
MIB = 2**20


def only(**limits: float) -> dict[str, Any]:
    return {**NEVER, **limits}


def drip(connection: socket.socket, data: bytes, *, seconds: float) -> None:
    """Send one byte after the other until all are sent or the connection is closed."""
    try:
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            time.sleep(seconds)
    except OSError:
        pass


def pour(connection: socket.socket, data: bytes, *, times: int) -> int:
    """Send the same again and again; return how often the server let it."""
    for sent in range(times):
        try:
            connection.sendall(data)
        except OSError:
            return sent
    return times


def test_a_silent_connection_is_closed_after_its_deadline() -> None:
    with serving(**only(idle_seconds=0.5)) as served, served.connect() as silent:
        assert rest(silent) == b""
        assert served.closed("idle") == 1


@pytest.mark.parametrize("head", [b"G", b"POST /webhook HTTP/1.1\r\nHost: here\r\nX-"])
def test_a_half_request_is_answered_408_and_closed(head: bytes) -> None:
    with serving(**only(head_seconds=0.5)) as served:
        answer = served.ask(head)
        assert status(answer) == 408
        assert b'"error":"too_slow"' in answer
        assert served.closed("head") == 1


def test_headers_that_drip_get_no_more_time_than_others() -> None:
    with serving(**only(head_seconds=0.7)) as served, served.connect() as slow:
        sender = threading.Thread(
            target=drip, args=(slow, b"GET /health HTTP/1.1\r\nX: " + b"a" * 1000), kwargs={"seconds": 0.05}
        )
        sender.start()
        began = time.monotonic()
        assert status(rest(slow)) == 408
        assert time.monotonic() - began < 20
        sender.join()


def test_a_body_that_drips_is_answered_408_and_not_stored() -> None:
    with serving(**only(stall_seconds=0.7)) as served, served.connect(HEAD_ONLY) as slow:
        sender = threading.Thread(target=drip, args=(slow, b" " * 1000), kwargs={"seconds": 0.05})
        sender.start()
        assert status(rest(slow)) == 408
        sender.join()
        assert served.backend.store.events == []
        assert served.closed("body") == 1


def test_a_body_that_is_fast_enough_and_never_ends_has_a_last_moment() -> None:
    with serving(**only(body_seconds=1.0)) as served, served.connect(HEAD_ONLY) as endless:
        sender = threading.Thread(target=drip, args=(endless, b" " * 90_000), kwargs={"seconds": 0.0001})
        sender.start()
        assert status(rest(endless)) == 408
        sender.join()


def test_a_large_event_over_a_slow_link_is_stored() -> None:
    """Ten megabytes, in pieces with pauses: faster than the least rate, and slower than one look at it."""
    body = b'{"action":"ANNOTATION_CREATED","project":{"id":3},"x":"%b"}' % (b"x" * 10_000_000)
    with serving(**only(stall_seconds=0.5, min_rate=1_000_000)) as served:
        sent = event(b"Connection: close\r\n", body=body)
        with served.connect() as slow:
            for at in range(0, len(sent), 250_000):
                slow.sendall(sent[at : at + 250_000])
                time.sleep(0.05)
            assert status(rest(slow)) == 201
        assert [each for _, each in served.backend.store.events] == [body]


def test_a_connection_that_has_been_answered_is_kept_for_the_next_request_and_no_longer() -> None:
    request = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
    with serving(**only(idle_seconds=1.5)) as served, served.connect(request) as kept:
        assert status(one_answer(kept)) == 200
        kept.sendall(request)
        assert status(one_answer(kept)) == 200
        assert rest(kept) == b""


async def slow_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers after a while; the lifespan has nothing to do."""
    import asyncio

    if scope["type"] == "lifespan":
        return
    await asyncio.sleep(2.5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


def test_a_request_that_is_worked_on_has_no_deadline() -> None:
    limits = {"idle_seconds": 0.5, "head_seconds": 0.5, "body_seconds": 0.5, "stall_seconds": 0.5}
    with serving(slow_app, **limits) as served:
        answer = served.ask(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert status(answer) == 200
        assert b"done" in answer


async def big_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 64 MiB in one piece, or in pieces that each wait for the client."""
    if scope["type"] == "lifespan":
        return
    pieces = 1 if scope["path"] == "/one" else 1024
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(pieces):
        more = number < pieces - 1
        await send({"type": "http.response.body", "body": bytes(64 * MIB // pieces), "more_body": more})


@pytest.mark.parametrize("path", [b"/one", b"/pieces"])
def test_a_client_that_does_not_read_its_answer_is_closed(path: bytes) -> None:
    head = b"GET %b HTTP/1.1\r\nHost: here\r\n\r\n" % path
    with serving(big_app, **only(stall_seconds=1.0)) as served, served.connect(head) as deaf:
        until(lambda: served.closed("response") == 1)
        assert len(rest(deaf)) < 64 * MIB


@pytest.mark.parametrize("path", [b"/one", b"/pieces"])
def test_a_client_that_reads_slowly_but_steadily_gets_everything(path: bytes) -> None:
    head = b"GET %b HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n" % path
    with serving(big_app, **only(stall_seconds=1.0, min_rate=1000, idle_seconds=0.5)) as served:
        with served.connect(head) as slow:
            received = 0
            while part := slow.recv(2 * MIB):
                received += len(part)
                time.sleep(0.05)
        assert received > 64 * MIB
        assert served.closed("response") == 0


async def small_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a page."""
    if scope["type"] != "lifespan":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(20_000)})


def test_requests_whose_answers_nobody_reads_stop_being_read_and_are_closed() -> None:
    """Pipelining: the answers of half a million requests would fill the memory."""
    request = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
    with serving(small_app, **only(stall_seconds=1.0)) as served, served.connect() as deaf:
        deaf.settimeout(0.5)
        assert pour(deaf, request * 1000, times=500) < 500
        until(lambda: served.closed("response") == 1)


@pytest.mark.parametrize("path", [b"/predict", b"/webhook", b"/projects/1/runs", b"/nowhere"])
def test_a_body_of_somebody_without_a_secret_is_not_waited_for(path: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: here\r\nContent-Length: 60000000\r\n\r\n" % path
    with serving(**NEVER) as served:
        began = time.monotonic()
        answer = served.ask(head + b"{")
        assert status(answer) == 401
        assert time.monotonic() - began < 8


def test_somebody_who_goes_on_sending_after_the_refusal_is_closed() -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(**only(linger_seconds=0.5)) as served, served.connect(head) as endless:
        assert pour(endless, b"400\r\n" + b"x" * 1024 + b"\r\n", times=10_000_000) < 10_000_000
        assert served.closed("linger") == 1


def test_who_is_refused_can_read_why_although_he_is_still_sending() -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % (4 * MIB)
    with serving(**NEVER) as served, served.connect(head) as sender:
        sender.sendall(bytes(4 * MIB))
        assert status(rest(sender)) == 401


def test_a_request_without_its_end_when_the_client_leaves_is_forgotten() -> None:
    with serving(**NEVER) as served:
        for sent in (b"", b"GET", HEAD_ONLY, HEAD_ONLY + b"{"):
            served.connect(sent).close()
        until(lambda: served.num_open() == 0)
        assert served.backend.store.events == []
        assert served.webhook() == 201


def test_the_server_ends_while_clients_are_silent() -> None:
    with serving(**NEVER) as served:
        idle = served.connect()
        for sent in (b"GET /", b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n"):
            served.connect(sent)
        kept = served.connect(event(secret=BASIC_LINE))
        assert status(one_answer(kept)) == 201
        until(lambda: served.num_open() == 4)
        assert is_open(idle)
        began = time.monotonic()
    assert time.monotonic() - began < 15
    assert [body for _, body in served.backend.store.events] == [EVENT]
