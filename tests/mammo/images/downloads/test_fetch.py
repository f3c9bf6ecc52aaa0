"""A download ends: in bytes, in time, in redirects; and it goes only where it may. Against a real server."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from mammo.errors import ImageNotFound, ImageUnavailable
from mammo.images.downloads.addresses import AddressRule
from mammo.images.downloads.fetch import IN_MEMORY, Fetched, Hop, Limits, fetch
from mammo.images.downloads.hosts import Hosts
from mammo.images.downloads.network import resolve
from tests.mammo.images.downloads.server import BadServer, bad_server, content, redirect

LOOPBACK = AddressRule.parse("127.0.0.0/8")
MIB = 2**20


def everywhere(hop: Hop, target: httpx.URL) -> Hop:
    return Hop(url=target, rule=hop.rule, headers={})


def get(
    url: str,
    *,
    rule: AddressRule = LOOPBACK,
    max_bytes: int = MIB,
    seconds: float = 5.0,
    bytes_per_second: float = 0,
    hosts: Hosts | None = None,
    folder: Path | None = None,
    headers: dict[str, str] | None = None,
    resolve: Callable[[str, int], list[str]] = resolve,
    **known: str,
) -> Fetched:
    start = Hop(url=httpx.URL(url), rule=rule, headers=headers or {})
    limits = Limits(
        max_bytes=max_bytes,
        deadline=time.monotonic() + seconds,
        bytes_per_second=bytes_per_second,
        purpose="task",
        folder=folder,
    )
    hosts = hosts or Hosts()
    return fetch(start, limits=limits, follow=everywhere, hosts=hosts, resolve=resolve, **known)


def body(fetched: Fetched) -> bytes:
    assert fetched.content is not None
    with fetched.content:
        return fetched.content.read()


def refusal(*args: object, **options: object) -> str:
    with pytest.raises((ImageNotFound, ImageUnavailable)) as failure:
        get(*args, **options)  # type: ignore[arg-type]
    return failure.value.code


def test_content_comes_whole_with_its_validators(server: BadServer) -> None:
    server.answers["/a.png"] = content(b"x" * 300_000, etag='"7"', last_modified="Mon")
    fetched = get(server.url + "/a.png?v=1")
    assert (body(fetched), fetched.etag, fetched.last_modified) == (b"x" * 300_000, '"7"', "Mon")
    assert server.paths() == ["/a.png?v=1"]


def test_the_server_may_say_that_what_is_known_is_right(server: BadServer) -> None:
    server.answers["/a.png"] = content(b"", status=304)
    assert get(server.url + "/a.png", etag='"7"').content is None
    assert server.seen[0][1]["if-none-match"] == '"7"'


def test_a_private_address_is_not_even_connected_to(server: BadServer) -> None:
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
        assert refusal(f"http://{host}:{server.port}/a.png", rule=AddressRule()) == "blocked_address"
    assert server.seen == []


def test_every_hop_is_checked_again(server: BadServer) -> None:
    with bad_server("127.0.0.2") as other:
        server.answers["/a.png"] = redirect(f"{other.url}/b.png")
        other.answers["/b.png"] = content(b"secret")
        rule = AddressRule.parse("127.0.0.1/32")
        assert refusal(server.url + "/a.png", rule=rule) == "blocked_address"
        assert other.seen == []
        assert body(get(server.url + "/a.png")) == b"secret"


def test_headers_of_one_hop_do_not_travel_to_the_next(server: BadServer) -> None:
    with bad_server("127.0.0.2") as other:
        server.answers["/a.png"] = redirect(f"{other.url}/b.png", 303)
        other.answers["/b.png"] = content(b"x")
        body(get(server.url + "/a.png", headers={"authorization": "Token secret"}))
        assert server.seen[0][1]["authorization"] == "Token secret"
        assert "authorization" not in other.seen[0][1]


def test_a_name_is_asked_for_once_and_the_checked_address_is_the_one_that_is_used(server: BadServer) -> None:
    """DNS rebinding: the second answer of the name would lead elsewhere."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    server.answers["/a.png"] = content(b"x")
    rule = AddressRule.parse("127.0.0.1/32")
    assert body(get(f"http://images.test:{server.port}/a.png", rule=rule, resolve=rebinding)) == b"x"
    assert asked == ["images.test"]
    assert server.seen[0][1]["host"] == f"images.test:{server.port}"
    url = f"http://images.test:{server.port}/a.png"
    assert refusal(url, rule=rule, resolve=rebinding) == "blocked_address"


def test_a_name_that_leads_nowhere_is_the_servers_trouble() -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    assert refusal("http://images.test/a.png", resolve=nobody) == "no_address"


def test_redirects_have_an_end(server: BadServer) -> None:
    server.answers["/a"] = redirect("/b")
    server.answers["/b"] = redirect("/a")
    assert refusal(server.url + "/a") == "foreign_image"
    assert len(server.seen) <= 5


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://x/y", "//", "http://u:p@127.0.0.1/", "gopher://x", "http://[::1"]
)
def test_a_redirect_to_no_plain_http_url_is_not_followed(server: BadServer, to: str) -> None:
    server.answers["/a"] = redirect(to)
    assert refusal(server.url + "/a") == "foreign_image"


def test_a_stated_length_over_the_limit_is_not_read(server: BadServer) -> None:
    server.answers["/a"] = content(b"x" * 10, content_length=str(10**12))
    assert refusal(server.url + "/a", max_bytes=100) == "too_large"


def test_an_unstated_length_is_cut_at_the_limit(server: BadServer) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for _ in range(2000):
            handler.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536

    server.answers["/a"] = endless
    assert refusal(server.url + "/a", max_bytes=MIB) == "too_large"
    assert sent < 32 * MIB


def test_a_length_that_promises_more_than_comes_is_no_image(server: BadServer) -> None:
    server.answers["/a"] = content(b"x" * 10, content_length="20")
    assert refusal(server.url + "/a") == "image_unreachable"


def test_a_length_that_promises_less_than_comes_gives_what_was_promised(server: BadServer) -> None:
    server.answers["/a"] = content(b"x" * 20, content_length="10")
    assert body(get(server.url + "/a")) == b"x" * 10


def test_a_body_that_drips_is_given_up_when_time_is_over(server: BadServer) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.1)

    server.answers["/a"] = drip
    begun = time.monotonic()
    assert refusal(server.url + "/a", seconds=0.5) == "image_timeout"
    assert time.monotonic() - begun < 5


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "100000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.02)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 1000:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.02)


def stop_after_a_good_start(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "100000")
    handler.end_headers()
    handler.wfile.write(b"x" * 50_000)
    handler.wfile.flush()
    time.sleep(20)


def say_nothing(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(20)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mammo.images.downloads.transfer_rate.GRACE_SECONDS", 0.5)
    monkeypatch.setattr("mammo.images.downloads.transfer_rate.STEP_SECONDS", 1.0)


def test_headers_that_drip_are_given_up_too(server: BadServer) -> None:
    server.answers["/a"] = drip_headers
    assert refusal(server.url + "/a", seconds=0.5) == "image_timeout"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (drip_body, "image_too_slow"),
        (drip_headers, "image_too_slow"),
        (stop_after_a_good_start, "image_too_slow"),
        (say_nothing, "image_timeout"),
    ],
)
def test_what_arrives_too_slowly_is_given_up_long_before_the_time_is_over_and_remembered(
    server: BadServer, answer: Callable[[BaseHTTPRequestHandler], None], code: str
) -> None:
    server.answers |= {"/a": answer, "/b": content(b"x" * 200_000)}
    hosts, begun = Hosts(), time.monotonic()
    slow = {"bytes_per_second": 10_000.0, "seconds": 60.0, "hosts": hosts}
    assert refusal(server.url + "/a", **slow) == code
    assert time.monotonic() - begun < 15
    assert refusal(server.url + "/a", **slow) == "slow_image"
    assert len(server.seen) == 1, "it is not asked for again"
    assert len(body(get(server.url + "/b", **slow))) == 200_000, "the host serves others"


@pytest.mark.usefixtures("impatient")
def test_the_host_that_is_slow_is_the_one_that_a_redirect_leads_to(server: BadServer) -> None:
    hosts = Hosts()
    with bad_server("127.0.0.2") as other:
        for number in range(4):
            server.answers[f"/{number}"] = redirect(f"{other.url}/{number}")
            other.answers[f"/{number}"] = drip_body
        server.answers["/sound"] = content(b"x")
        slow = {"bytes_per_second": 10_000.0, "seconds": 60.0, "hosts": hosts}
        assert [refusal(f"{server.url}/{number}", **slow) for number in range(3)] == ["image_too_slow"] * 3
        assert list(hosts._slow) == [f"127.0.0.2:{other.port}"]


@pytest.mark.usefixtures("impatient")
def test_a_name_whose_resolution_hangs_does_not_outlast_the_deadline() -> None:
    def hang(host: str, port: int) -> list[str]:
        time.sleep(20)
        return ["127.0.0.1"]

    begun = time.monotonic()
    assert refusal("http://images.test/a.png", resolve=hang, seconds=60.0) == "image_timeout"
    assert time.monotonic() - begun < 15


def test_a_long_content_is_not_kept_in_memory(server: BadServer, tmp_path: Path) -> None:
    server.answers |= {"/long": content(b"x" * (IN_MEMORY + 1)), "/short": content(b"y")}
    for path, is_file in (("/long", True), ("/short", False)):
        fetched = get(server.url + path, folder=tmp_path, max_bytes=2 * IN_MEMORY)
        assert fetched.content is not None
        with fetched.content as file:
            assert file._rolled is is_file  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == [], "the file has no name"


def test_a_compressed_answer_is_refused_before_it_can_grow(server: BadServer) -> None:
    bomb = gzip.compress(b"\0" * 64 * MIB)
    server.answers["/a"] = content(bomb, content_encoding="gzip")
    assert len(bomb) < MIB
    assert refusal(server.url + "/a", max_bytes=MIB) == "encoded"
    assert server.seen[0][1]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, ImageNotFound), (403, ImageNotFound), (500, ImageUnavailable), (429, ImageUnavailable)],
)
def test_a_refusal_is_the_images_fault_and_a_failure_the_servers(
    server: BadServer, status: int, kind: type[Exception]
) -> None:
    server.answers["/a"] = content(b"no", status=status)
    with pytest.raises(kind) as failure:
        get(server.url + "/a")
    assert failure.value.code == f"image_http_{status}"  # type: ignore[attr-defined]


def test_a_login_page_is_no_image(server: BadServer) -> None:
    server.answers["/a"] = content(b"<html>", content_type="text/html; charset=utf-8")
    assert refusal(server.url + "/a") == "no_image"


def test_a_server_that_is_away_is_unavailable_and_named(server: BadServer) -> None:
    with pytest.raises(ImageUnavailable, match=r"127\.0\.0\.1 could not be downloaded"):
        get("http://127.0.0.1:9/a.png")


def test_an_ipv6_server_is_reached_when_its_network_is_allowed() -> None:
    assert refusal("http://[::1]:9/a", rule=AddressRule.parse("::1/128")) == "image_unreachable"
    assert refusal("http://[::1]:9/a", rule=LOOPBACK) == "blocked_address"
