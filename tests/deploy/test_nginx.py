"""deploy/nginx with a real nginx on loopback: what it passes on, and whom it lets go."""

from __future__ import annotations

import http.server
import re
import socket
import ssl
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.deploy.nginx_server import Nginx, started
from tests.file_server import certificate
from tests.waiting import until


class Upstream(http.server.BaseHTTPRequestHandler):
    """Label Studio, the backend and Grafana at once: says which headers came, and waits where it is asked to."""

    protocol_version = "HTTP/1.1"
    release = threading.Event()
    waiting = threading.Semaphore(0)
    """Released once by every request that waits."""

    def do_GET(self) -> None:
        if self.path.startswith("/wait"):
            self.waiting.release()
            self.release.wait(30)
        text = f"{self.path}\n{self.headers}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        # A server that answers before it has read all may close the connection on nginx, which then says 502.
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Upstreams(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    server = Upstreams(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_port
    Upstream.release.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def plain(tmp_path, upstream):
    yield from started(tmp_path, "plain.conf", upstream)


@pytest.fixture
def tls(tmp_path, upstream):
    certificate(tmp_path)
    yield from started(tmp_path, "tls.conf", upstream)


def get(nginx: Nginx, port: int, path: str = "/", *, scheme: str = "http", **options) -> httpx.Response:
    trust = (
        ssl.create_default_context(cafile=str(nginx.folder / "server.pem")) if scheme == "https" else False
    )
    url = f"{scheme}://127.0.0.1:{nginx.ports[port]}{path}"
    return httpx.get(url, verify=trust, trust_env=False, timeout=30, **options)


def test_without_tls_label_studio_and_grafana_are_reached(plain):
    assert get(plain, 8080, "/projects?page=1").text.startswith("/projects?page=1\n")
    assert get(plain, 3000, "/d/x").text.startswith("/d/x\n")
    assert get(plain, 8080, "/proxy-health").status_code == 204


def test_with_tls_label_studio_and_the_backend_are_reached_and_plain_requests_are_sent_there(tls):
    for port in (8443, 9443):
        answer = get(tls, port, "/health", scheme="https")
        assert answer.text.startswith("/health\n")
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "nginx/" not in answer.headers["Server"]
    answer = get(tls, 8080, "/projects?page=1")
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://127.0.0.1/projects?page=1")
    assert get(tls, 8080, "/proxy-health").status_code == 204


def test_old_versions_of_tls_are_refused(tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", tls.ports[8443])) as connection, pytest.raises(ssl.SSLError):
        context.wrap_socket(connection)


def test_what_a_client_says_of_its_address_counts_for_nothing(tls):
    lies = {"X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1", "X-Forwarded-Proto": "http"}
    said = get(tls, 9443, scheme="https", headers=lies).text
    assert re.findall(r"^X-(\S+): (.*)$", said, re.MULTILINE) == [
        ("Real-IP", "127.0.0.1"),
        ("Forwarded-For", "127.0.0.1"),
        ("Forwarded-Proto", "https"),
        ("Forwarded-Host", f"127.0.0.1:{tls.ports[9443]}"),
    ]
    assert f"Host: 127.0.0.1:{tls.ports[9443]}\n" in said


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
    ],
    ids=["silent", "half-a-header", "half-a-body"],
)
def test_a_connection_that_says_no_more_is_closed(plain, sent):
    with socket.create_connection(("127.0.0.1", plain.ports[8080]), timeout=20) as connection:
        connection.sendall(sent)
        while True:  # until it is closed; a timeout fails the test
            try:
                if not connection.recv(4096):
                    break
            except ConnectionResetError:
                break


def test_a_connection_without_a_word_does_not_stop_another(plain):
    silent = [socket.create_connection(("127.0.0.1", plain.ports[8080])) for _ in range(200)]
    assert get(plain, 8080).status_code == 200
    for each in silent:
        each.close()


def test_one_address_has_a_limited_number_of_requests_at_once(plain):
    Upstream.release.clear()
    waiting = []
    for _ in range(64):
        connection = socket.create_connection(("127.0.0.1", plain.ports[8080]), timeout=30)
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.append(connection)
    for _ in waiting:  # one more request before that would take the place of the last
        assert Upstream.waiting.acquire(timeout=30)
    assert get(plain, 8080).status_code == 429
    Upstream.release.set()
    for each in waiting:
        assert each.recv(15).startswith(b"HTTP/1.1 200")
        each.close()
    assert get(plain, 8080).status_code == 200


def test_passwords_are_not_tried_without_end(plain):
    answers = [get(plain, 8080, "/user/login/").status_code for _ in range(14)]
    assert answers[:11] == [200] * 11
    assert 429 in answers[11:]
    assert get(plain, 8080, "/projects").status_code == 200


@pytest.mark.parametrize(("size", "status"), [(65 * 2**20, 413), (2**20, 200)])
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(tls, size, status):
    trust = ssl.create_default_context(cafile=str(tls.folder / "server.pem"))
    head = f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", tls.ports[9443]), timeout=20) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(head.encode() + (bytes(size) if status == 200 else b""))
        assert int(connection.recv(12).split()[1]) == status


def test_the_log_has_no_query_and_no_name_of_a_file(plain):
    get(plain, 8080, "/data/upload/3/Mueller-Anna.dcm?d=Mueller")
    get(plain, 8080, "/tasks/7/resolve/?fileuri=TXVlbGxlcg==")
    get(plain, 8080, "/projects/3/data?tab=Mueller", headers={"User-Agent": "Mueller"})
    until(lambda: plain.log.read_text().count("\n") >= 3)
    text = plain.log.read_text()
    assert "Mueller" not in text
    assert "TXVlbGxlcg" not in text
    assert re.search(r" 127\.0\.0\.1 GET /data/\.\.\. 200 ", text)
    assert " GET /projects/3/data 200 " in text
