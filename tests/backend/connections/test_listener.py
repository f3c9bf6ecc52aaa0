"""There are as many connections as there is room for, newcomers get in, and a lack of descriptors floods no log."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from backend.connections import listener
from tests.backend.connections.served import event, is_open, one_answer, rest, serving, status
from tests.waiting import until

HEALTH = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"


def test_silent_connections_at_the_cap_make_room_for_webhooks() -> None:
    with serving(max_connections=20, max_per_address=20, idle_seconds=600) as served:
        silent = [served.connect() for _ in range(60)]
        until(lambda: served.closed("displaced") == 40)
        until(lambda: served.num_open() == 20)
        for _ in range(30):
            assert served.webhook() == 201
        assert sum(is_open(each) for each in silent) < 20, "each webhook took the place of one"
        assert len(served.backend.store.events) == 30


def test_half_requests_and_half_bodies_make_room_too() -> None:
    halves = [
        b"G",
        HEALTH[:-2],
        b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n{",
        HEALTH,
    ]
    with serving(max_connections=20, max_per_address=20, idle_seconds=600, head_seconds=600) as served:
        held = [served.connect(halves[number % len(halves)]) for number in range(60)]
        for _ in range(30):
            assert served.webhook() == 201
        assert len(held) == 60


def test_connections_that_sent_the_secret_are_kept_while_strangers_come_and_go() -> None:
    with serving(max_connections=10, max_per_address=10, idle_seconds=600) as served:
        known = [served.connect(event()) for _ in range(4)]
        assert {status(one_answer(each)) for each in known} == {201}
        strangers = [served.connect() for _ in range(40)]
        until(lambda: served.closed("displaced") >= 34)
        for each in known:
            each.sendall(event())
            assert status(one_answer(each)) == 201
        assert len(strangers) == 40


def test_the_limit_of_an_address_leaves_room_for_others() -> None:
    with serving(max_connections=1000, max_per_address=5, idle_seconds=600) as served:
        silent = []
        for number in range(20):
            silent.append(served.connect())
            until(lambda number=number: served.num_open() + served.closed("displaced") == number + 1)
        assert [is_open(each) for each in silent] == [False] * 15 + [True] * 5
        assert served.webhook() == 201


begun = threading.Semaphore(0)
"""Released once by every request that `slow_app` has begun."""


async def slow_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers after two seconds, as a busy backend does."""
    if scope["type"] == "http":
        begun.release()
        await asyncio.sleep(2)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})


def test_when_everybody_is_being_answered_the_next_one_waits_for_his_turn() -> None:
    with serving(slow_app, max_connections=4, max_per_address=4, idle_seconds=600) as served:
        busy = [served.connect(HEALTH) for _ in range(4)]
        assert all(begun.acquire(timeout=30) for _ in busy)
        waiting = served.connect(HEALTH)
        assert {status(one_answer(each)) for each in busy} == {200}
        assert status(one_answer(waiting)) == 200


class Exhausted:
    """A listening socket whose `accept` has no descriptor for some time."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.num_tries = 0
        self.is_over = False

    def accept(self) -> Any:
        self.num_tries += 1
        if not self.is_over:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._real.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_without_a_descriptor_the_listener_waits_says_so_once_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sockets: list[Exhausted] = []

    class Listener(listener.Listener):
        def __init__(self, listening: socket.socket, *others: Any) -> None:
            sockets.append(Exhausted(listening))
            super().__init__(sockets[0], *others)  # type: ignore[arg-type]

    monkeypatch.setattr("backend.connections.server.Listener", Listener)
    with capture_logs() as logs, serving() as served, served.connect(HEALTH) as client:
        until(lambda: sockets[0].num_tries >= 5)
        sockets[0].is_over = True
        assert status(one_answer(client)) == 200
    lines = [each for each in logs if each["event"] == "no connection can be accepted"]
    assert [each["reason"] for each in lines] == ["EMFILE"]


def test_a_client_that_is_gone_before_it_is_accepted_costs_nothing() -> None:
    with serving() as served:
        for _ in range(200):
            made = served.connect()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not end
            made.close()
        assert served.webhook() == 201
        until(lambda: served.num_open() == 0)


def test_the_listener_closes_with_the_server() -> None:
    received: list[bytes] = []
    with serving() as served:
        silent = served.connect()
        closing = threading.Thread(target=lambda: received.append(rest(silent)))
        closing.start()
    closing.join()
    assert received == [b""]
    with pytest.raises(ConnectionRefusedError):
        served.connect()
