"""A real HTTP server on the loopback address that behaves as badly as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Handler = BaseHTTPRequestHandler
Answer = Callable[[Handler], None]


class BadServer:
    """Answers by path; `seen` holds (path, headers) of every request."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.host, self.port = server.server_address[:2]
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]


@contextmanager
def bad_server(address: str = "127.0.0.1") -> Iterator[BadServer]:
    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.seen.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
            self.close_connection = True
            try:
                server.answers.get(self.path.partition("?")[0], missing)(self)
            except (BrokenPipeError, ConnectionResetError):
                return

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer((address, 0), Requests) as http:
        http.daemon_threads = True
        server = BadServer(http)
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def missing(handler: BaseHTTPRequestHandler) -> None:
    content(b"", status=404)(handler)


def content(body: bytes, *, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"content_length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirect(to: str, status: int = 302) -> Answer:
    return content(b"", status=status, location=to)
