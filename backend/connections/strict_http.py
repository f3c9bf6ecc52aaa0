"""StrictHttp: h11's parser, without what makes a proxy in front see another end of a request than the backend.

Such a difference lets a client hide a second request in a first one (request smuggling, RFC 9112, section 11.2). h11
accepts some of it, because the RFC allows a server to.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import h11

MAX_HEAD = 16 * 2**10
"""Bytes of request line and headers."""

MAX_HEADERS = 100

LENGTHS = re.compile(rb"\r\ncontent-length[ \t]*:([^\r]*)", re.IGNORECASE)
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
"""Ends of lines that are not CR LF."""

FOLDED = re.compile(rb"\r\n[ \t]")
"""A header that goes on in the next line."""


class StrictHttp(h11.Connection):
    """The server's side of one HTTP/1.1 connection."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self.refusal = "the request is not valid HTTP/1.1"
        """Why the last event was refused, without anything that the client sent."""

    def next_event(self) -> Any:
        """Return the next event, as h11 does.

        Raises:
            h11.RemoteProtocolError: not HTTP/1.1, longer headers than are allowed, or a body whose length is stated
                in two ways.
        """
        if self.their_state is not h11.IDLE:
            return super().next_event()
        received, _ = self.trailing_data
        end = received.find(b"\r\n\r\n")
        if max(end, 0) > MAX_HEAD or (end < 0 and len(received) > MAX_HEAD):
            self._refuse(f"request line and headers are longer than {MAX_HEAD} bytes")
        if end >= 0:
            self._check_lines(received[:end])
        event = super().next_event()
        if isinstance(event, h11.Request):
            if end < 0:
                self._refuse("a line does not end in CR LF")
            self._check_framing(event)
        return event

    def _check_lines(self, head: bytes) -> None:
        if head.count(b"\r\n") > MAX_HEADERS:
            self._refuse(f"there are more than {MAX_HEADERS} headers")
        if BARE.search(head):
            self._refuse("a line does not end in CR LF")
        if FOLDED.search(head):
            self._refuse("a header goes on in the next line")
        lengths = LENGTHS.findall(head)
        if len(lengths) > 1 or any(b"," in length for length in lengths):
            self._refuse("Content-Length is stated twice")

    def _check_framing(self, request: h11.Request) -> None:
        names = {name for name, _ in request.headers}
        if b"transfer-encoding" in names and b"content-length" in names:
            self._refuse("Content-Length and Transfer-Encoding are both stated")
        if b"transfer-encoding" in names and request.http_version < b"1.1":
            self._refuse("Transfer-Encoding is not part of HTTP/1.0")

    def _refuse(self, reason: str) -> NoReturn:
        self.refusal = reason
        raise h11.RemoteProtocolError(reason)
