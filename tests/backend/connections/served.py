"""The backend on fakes, served over real sockets by our server, and raw connections to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.types import ASGIApp

from backend.connections.limits import ConnectionLimits
from backend.connections.server import Server, bind
from tests.backend.fakes import SECRET, Backend
from tests.waiting import until

LIMITS = ConnectionLimits(max_connections=1000, max_per_address=500)
EVENT = b'{"action":"ANNOTATION_CREATED","project":{"id":3}}'
BASIC_LINE = b"Authorization: Basic bGFiZWwtc3R1ZGlvOnJpZ2h0LXBhc3N3b3Jk\r\n"
HOOK_LINE = b"X-Yolo-Mlsam-Secret: %b\r\n" % SECRET.encode()


@dataclass
class Served:
    """A server that runs."""

    backend: Backend
    port: int
    connections: list[socket.socket] = field(default_factory=list)
    """Those of the test, closed at its end."""

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection that has sent so much."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.connections.append(made)
        made.sendall(sent)
        return made

    def ask(self, sent: bytes) -> bytes:
        """Everything that is answered until the server closes the connection."""
        with self.connect(sent) as connection:
            return rest(connection)

    def webhook(self) -> int:
        """Status code of an event, over a connection of its own as Label Studio sends it."""
        return status(self.ask(event(b"Connection: close\r\n")))

    def num_open(self) -> float:
        return self.backend.services.metrics.connections._value.get()

    def closed(self, reason: str) -> float:
        """How many connections the backend has closed for a reason."""
        return self.backend.services.metrics.closed_connections.labels(reason=reason)._value.get()


@contextmanager
def serving(
    app: ASGIApp | None = None, changes: dict[str, Any] | None = None, **limits: Any
) -> Iterator[Served]:
    """Serve an application, or the backend; `limits` replace those of LIMITS, `changes` the settings."""
    backend = Backend(changes=changes or {})
    (listening,) = bind("127.0.0.1", 0)
    server = Server.of(
        app or backend.client.app,
        backend.services.settings,
        backend.services.metrics,
        limits=replace(LIMITS, **limits),
    )
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    port = listening.getsockname()[1]
    thread.start()
    until(lambda: server.started)
    served = Served(backend, port)
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join()
        for connection in served.connections:
            connection.close()


def event(more: bytes = b"", *, secret: bytes = HOOK_LINE, body: bytes = EVENT) -> bytes:
    return (
        b"POST /webhook HTTP/1.1\r\nHost: here\r\n%b%bContent-Length: %d\r\n\r\n%b"
        % (secret, more, len(body), body)
    )  # fmt: skip


def rest(connection: socket.socket) -> bytes:
    """What comes until the connection is closed; a reset ends it too."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def one_answer(connection: socket.socket) -> bytes:
    """The next answer, which is a JSON object; the connection stays open."""
    received = b""
    while not received.endswith(b"}"):
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


def is_open(connection: socket.socket) -> bool:
    """Whether the server has neither sent anything nor closed the connection."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
