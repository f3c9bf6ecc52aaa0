"""The process that is served: its descriptors, whom it believes, and where it listens."""

from __future__ import annotations

import base64
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.connections.limits import (
    MIN_CONNECTIONS,
    RESERVED_DESCRIPTORS,
    ConnectionLimits,
    raise_descriptor_limit,
)
from backend.connections.server import bind
from backend.rate_limit import MAX_WRONG_SECRETS
from mammo.errors import InvalidSettings
from mammo.settings import Settings
from tests.backend.connections.served import Served, one_answer, serving, status
from tests.backend.fakes import settings


def guess(served: Served, number: int, *, forwarded: str) -> int:
    """Status of a wrong password, sent as if for somebody else."""
    secret = base64.b64encode(b"label-studio:guess-%d" % number)
    return status(
        served.ask(
            b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\nAuthorization: Basic %b\r\n"
            b"X-Forwarded-For: %b\r\n\r\n" % (secret, forwarded.encode())
        )
    )


def guesses(served: Served, *, forwarded: str, count: int = MAX_WRONG_SECRETS + 3) -> list[int]:
    return [guess(served, n, forwarded=forwarded.format(n)) for n in range(count)]


LIMITED = [401] * MAX_WRONG_SECRETS + [429] * 3


def test_nobody_is_believed_who_says_for_whom_he_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with serving() as served:
        assert guesses(served, forwarded="192.0.2.{}") == LIMITED


def test_a_proxy_that_is_named_is_believed_and_each_of_its_clients_has_guesses_of_his_own() -> None:
    with serving(changes={"trusted_proxies": "10.0.0.0/8, 127.0.0.1"}) as served:
        assert guesses(served, forwarded="192.0.2.1") == LIMITED
        assert guess(served, 99, forwarded="192.0.2.2") == 401
        assert guess(served, 98, forwarded="192.0.2.1, 10.3.2.1") == 429, "by way of a second proxy"


def test_behind_a_named_proxy_a_client_cannot_choose_his_address() -> None:
    """The proxy appends the address that it sees; whatever stands before it is the client's word."""
    with serving(changes={"trusted_proxies": "127.0.0.1/32"}) as served:
        assert guesses(served, forwarded="203.0.113.{}, 192.0.2.1") == LIMITED


def test_another_proxy_than_the_named_one_is_not_believed() -> None:
    with serving(changes={"trusted_proxies": "127.0.0.2"}) as served:
        assert guesses(served, forwarded="192.0.2.{}") == LIMITED


def test_guesses_whose_bodies_are_held_back_are_counted_at_once() -> None:
    """A guess that is looked at only after its body would let many be made at the same time."""
    with serving() as served:
        head = b"POST /projects/1/runs HTTP/1.1\r\nHost: here\r\nContent-Length: 20\r\nAuthorization: Bearer %d\r\n\r\n"
        held = [served.connect(head % number) for number in range(MAX_WRONG_SECRETS + 3)]
        assert sorted(status(one_answer(each)) for each in held) == LIMITED


@pytest.mark.parametrize("named", ["*", "label-studio", "10.0.0.300", "10.0.0.0/33", "127.0.0.1;10.0.0.1"])
def test_a_proxy_that_is_no_address_is_refused(named: str) -> None:
    with pytest.raises(InvalidSettings, match="YOLO_MLSAM_TRUSTED_PROXIES"):
        Settings.load(trusted_proxies=named)


def limits_of(*, descriptors: int, **changes: Any) -> ConnectionLimits:
    return ConnectionLimits.of(settings(**changes), descriptors=descriptors)


def test_descriptors_are_left_for_everything_but_connections() -> None:
    assert limits_of(descriptors=100_000).max_connections == 4096
    with capture_logs() as logs:
        few = limits_of(descriptors=256)
    assert (few.max_connections, few.max_per_address) == (256 - RESERVED_DESCRIPTORS,) * 2
    assert [each["connections"] for each in logs] == [few.max_connections]
    assert limits_of(descriptors=20).max_connections == MIN_CONNECTIONS
    own = limits_of(descriptors=100_000, max_connections=100, max_connections_per_address=20)
    assert (own.max_connections, own.max_per_address) == (100, 20)


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    script = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))\n"
        "from backend.connections.limits import raise_descriptor_limit\n"
        "print(raise_descriptor_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["512", "512", "512"]
    assert raise_descriptor_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidSettings, match=f"YOLO_MLSAM_PORT={port}.*in use"):
            bind("127.0.0.1", port)


def test_a_host_that_is_unknown_is_named() -> None:
    with pytest.raises(InvalidSettings, match=r"YOLO_MLSAM_HOST=nowhere\.invalid"):
        bind("nowhere.invalid", 9090)


@pytest.mark.parametrize(("host", "families"), [("127.0.0.1", {socket.AF_INET}), ("::1", {socket.AF_INET6})])
def test_each_kind_of_address_is_listened_on(host: str, families: set[int]) -> None:
    sockets = bind(host, 0)
    assert {each.family for each in sockets} == families
    for each in sockets:
        each.close()
