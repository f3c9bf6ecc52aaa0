"""A real HTTPS server on this machine that serves small files, and can cut, lie and redirect."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Behaviour:
    """How one path answers."""

    content: bytes = b""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which to cut the connection: one number for each request that is to be cut."""

    ranges: bool = True
    says_length: bool = True
    status: int = 200
    location: str = ""


class FileServer:
    """Use as a context; `requests` holds (path, value of the Range header) of every request."""

    def __init__(self, folder: Path) -> None:
        self.paths: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, str | None]] = []
        self._certificate = certificate(folder)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def base(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def client(self) -> httpx.Client:
        """One that trusts this server's certificate."""
        trust = ssl.create_default_context(cafile=str(self._certificate))
        return httpx.Client(verify=trust, timeout=10, trust_env=False)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        paths, requests = self.paths, self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                requests.append((self.path, wanted))
                rule = paths.get(self.path, Behaviour(status=404))
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and rule.ranges else 0
                if rule.location:
                    self.send_response(302)
                    self.send_header("Location", rule.location)
                    self._end(b"")
                elif rule.status != 200:
                    self.send_response(rule.status)
                    self._end(b"")
                elif start and start >= len(rule.content):
                    self.send_response(416)
                    self._end(b"")
                else:
                    self._send(rule, start)

            def _send(self, rule: Behaviour, start: int) -> None:
                total = len(rule.content)
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
                if rule.says_length:
                    self.send_header("Content-Length", str(total - start))
                self.send_header("Connection", "close")
                self.end_headers()
                until = rule.cuts.pop(0) if rule.cuts else total
                self.wfile.write(rule.content[start:until])
                self.wfile.flush()
                self.close_connection = True

            def _end(self, body: bytes) -> None:
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler


def certificate(folder: Path) -> Path:
    """A key and its own signature of it, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path
