"""A real HTTP server of DICOMweb that lies, cuts, redirects and is busy, one answer after the other."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from mammo.pacs import PacsClient
from mammo.settings import Settings

BOUNDARY = "b0undary"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer."""

    body: bytes = b""
    status: int = 200
    content_type: str = MULTIPART
    headers: Mapping[str, str] = field(default_factory=dict)
    stated_length: int | None = None
    """In place of the true one."""


def multipart(*contents: bytes, content_type: str = "application/dicom") -> bytes:
    head = f"\r\n--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return b"".join(head + content for content in contents) + f"\r\n--{BOUNDARY}--\r\n".encode()


class HostileServer:
    """Gives its replies in turn, the last one for ever; `requests` holds path and headers of each."""

    def __init__(self, *replies: Reply) -> None:
        self._replies: Sequence[Reply] = replies
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def client(self, *, somebody_waits: bool = False, **changes: Any) -> PacsClient:
        url = f"http://127.0.0.1:{self._server.server_port}/dicom-web"
        settings = Settings.load(pacs_url=url, private_networks="127.0.0.0/8", **changes)
        return PacsClient.of(settings, somebody_waits=somebody_waits)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                number = len(outer.requests)
                outer.requests.append((self.path, dict(self.headers)))
                reply = outer._replies[min(number, len(outer._replies) - 1)]
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                length = len(reply.body) if reply.stated_length is None else reply.stated_length
                self.send_header("Content-Length", str(length))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler
