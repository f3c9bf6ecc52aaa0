"""Receivers of notifications: a real HTTP server and a real mail server on the loopback address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.file_server import certificate


class Receiver:
    """Answers each POST with the next of `statuses`, then 204; `seen` holds (headers, body) of each."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.host, self.port = server.server_address[:2]
        self.statuses: list[int] = []
        self.location = ""
        self.delay = 0.0
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.arrived = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hook/token-of-the-receiver"

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.seen]


@contextmanager
def receiver() -> Iterator[Receiver]:
    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            it.seen.append(({key.lower(): value for key, value in self.headers.items()}, body))
            it.arrived.set()
            time.sleep(it.delay)
            try:
                self.send_response(it.statuses.pop(0) if it.statuses else 204)
                if it.location:
                    self.send_header("Location", it.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except (BrokenPipeError, ConnectionResetError):
                return

        def do_GET(self) -> None:
            it.seen.append(({}, b"GET"))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Requests) as http:
        http.daemon_threads = True
        it = Receiver(http)
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield it
        finally:
            http.shutdown()
            thread.join()


def verified(key: str, headers: dict[str, str], body: bytes) -> bool:
    """What a receiver does with the key from `notifications key`, by the text of Standard Webhooks alone."""
    secret = base64.b64decode(key.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}".encode()
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(headers["webhook-signature"], f"v1,{expected}")


class MailServer:
    """Keeps what it takes in `mails`; answers with `refusal` if one is set."""

    def __init__(self) -> None:
        self.mails: list = []
        self.recipients: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self.encrypted: list[bool] = []
        self.refusal = ""
        self.port = 0
        self.certificate = ""

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.refusal:
            return self.refusal
        self.mails.append(message_from_bytes(envelope.content))
        self.recipients += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        return "250 taken"

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"right", handled=False)


class _OnAnyPort(Controller):
    def _trigger_server(self):
        """Connect to the port that the system chose; the base class would try the 0 that was asked for."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(folder, *, tls: str = "starttls") -> Iterator[MailServer]:
    """Serve mail. `tls`: `starttls`, `start` (from the first byte), or `none`."""
    it = MailServer()
    options: dict = {"authenticator": it.authenticate, "auth_require_tls": tls == "starttls"}
    if tls != "none":
        it.certificate = str(certificate(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(it.certificate)
        options |= {"tls_context": context} if tls == "starttls" else {"ssl_context": context}
    controller = _OnAnyPort(it, hostname="127.0.0.1", port=0, **options)
    controller.start()
    it.port = controller.port
    try:
        yield it
    finally:
        controller.stop()
