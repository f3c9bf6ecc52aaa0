"""GuardedProtocol: uvicorn's HTTP/1.1 connection, with a deadline for whatever it waits for.

The table looks at every connection a few times a second, so a deadline is a comparison and not a timer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any

import h11
from starlette.datastructures import Headers
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from backend.connections.strict_http import StrictHttp
from backend.connections.table import ConnectionTable
from backend.error_table import answer
from backend.logs import ERRORS_ONLY
from backend.middleware import HEADERS

IsTrusted = Callable[[str, Headers], bool]
"""Takes path and headers of a request; whether they have a right secret that cannot be guessed."""


class Phase(Enum):
    """What a connection waits for."""

    OPENING = "the event loop to take it over"
    IDLE = "the first byte of a request"
    HEAD = "the rest of its headers"
    BODY = "the rest of its body"
    RESPONSE = "the backend's response"
    LINGER = "the client to read a refusal, and to close the connection"


class GuardedProtocol(H11Protocol):
    """One connection."""

    conn: StrictHttp

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        address: str,
        *,
        table: ConnectionTable,
        is_trusted: IsTrusted,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.conn = StrictHttp()
        self.logger = logging.getLogger(ERRORS_ONLY)
        self.address = address
        self._table = table
        self._is_trusted = is_trusted
        self._judged: object = None
        """Scope of the last request whose secrets were looked at."""

        self._trusted = False
        self._lingers = False
        self._phase, self._since = Phase.OPENING, table.clock()
        self._received = 0
        """Bytes received in this phase."""

        self._unsent: tuple[float, int] | None = None
        """Since when, and how many bytes of responses the client has not taken; None: it has taken all."""

    @property
    def waits_for_client(self) -> bool:
        if self._phase is Phase.RESPONSE:
            return self.flow.write_paused
        return self._phase is not Phase.OPENING

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._phase, self._since = Phase.IDLE, self._table.clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            return
        if self._phase is Phase.BODY:
            self._received += len(data)
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unsent = None

    def shutdown(self) -> None:
        if self._lingers:
            self.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not valid HTTP; uvicorn calls it."""
        self._table.count("invalid")
        self._refuse(400, "bad_request", self.conn.refusal)

    def late(self, now: float) -> str | None:
        """Return the deadline that has passed, as `ConnectionTable.count` names it; None: none."""
        if self._phase is Phase.OPENING:
            return None
        if self._reads_too_slowly(now):
            return "response"
        limits, waited = self._table.limits, now - self._since
        if self._phase is Phase.HEAD and waited > limits.head_seconds:
            return "head"
        if self._phase is Phase.BODY:
            stalled = waited > limits.stall_seconds and self._received < limits.min_rate * waited
            if self.flow.read_paused:  # the backend is the slow one
                self._since, self._received = now, 0
            elif stalled or waited > limits.body_seconds:
                return "body"
        if self._unsent is None:  # else the client still takes a response
            if self._phase is Phase.IDLE and waited > limits.idle_seconds:
                return "idle"
            if self._phase is Phase.LINGER and waited > limits.linger_seconds:
                return "linger"
        return None

    def end(self, reason: str) -> None:
        if reason in ("head", "body"):
            self._refuse(408, "too_slow", "the request did not arrive in time; send it again")
        else:
            self.abort()

    def abort(self) -> None:
        self.transport.abort()

    def _follow(self) -> None:
        """Note what the connection waits for now, and since when."""
        if self.transport.is_closing():
            return
        if not self._trusted and self.scope is not None and self.scope is not self._judged:
            self._judged = self.scope
            if self._is_trusted(self.scope["path"], Headers(scope=self.scope)):  # type: ignore[arg-type]
                self._trusted = True
                self._table.trust(self)
        phase = self._current_phase()
        if phase is Phase.LINGER and not self._lingers:
            self._linger()
        elif phase is not self._phase:
            self._phase, self._since, self._received = phase, self._table.clock(), 0

    def _current_phase(self) -> Phase:
        if self._lingers:
            return Phase.LINGER
        theirs, ours = self.conn.their_state, self.conn.our_state
        if theirs is h11.IDLE:
            return Phase.HEAD if self.conn.trailing_data[0] else Phase.IDLE
        if theirs is not h11.SEND_BODY:
            return Phase.RESPONSE
        return Phase.BODY if ours in (h11.SEND_RESPONSE, h11.SEND_BODY) else Phase.LINGER

    def _reads_too_slowly(self, now: float) -> bool:
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self._unsent = None
            return False
        if self._unsent is None:
            self._unsent = now, waiting
            return False
        since, before = self._unsent
        limits = self._table.limits
        if now - since <= limits.stall_seconds:
            return False
        self._unsent = now, waiting
        return before - waiting < limits.min_rate * limits.stall_seconds

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer a request that the application cannot answer, and close the connection."""
        if self.transport.is_closing() or self._lingers:
            return
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.abort()
                return
        response = answer(code, message, status=status, headers={**HEADERS, "Connection": "close"})
        head = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
        phrase = b"Bad Request" if status == 400 else b"Request Timeout"
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, phrase, head, bytes(response.body)))
        self._linger()

    def _linger(self) -> None:
        """Stop reading requests, but not bytes: closing with unread bytes would take the response from the client."""
        self._lingers = True
        self._phase, self._since = Phase.LINGER, self._table.clock()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        with suppress(OSError):  # the client has closed it meanwhile
            self.transport.write_eof()
