"""Who is let in, who is not, and how often somebody may try."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from backend import __main__ as entry
from backend.app import create_app
from backend.auth import short_secrets
from backend.rate_limit import MAX_WRONG_SECRETS, Buckets
from mammo.errors import InvalidSettings
from mammo.labelstudio.client import SECRET_HEADER
from tests.backend.fakes import BASIC, HOOK, Backend, settings

KEY = "k" * 43
EVENT = {"action": "ANNOTATION_CREATED", "project": {"id": 3}}


def keyed(key: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"label-studio:{password}".encode()).decode()}


def backend_with_key(**changes: Any) -> Backend:
    return Backend(changes={"api_keys": hashlib.sha256(KEY.encode()).hexdigest(), **changes})


def test_automation_comes_in_with_a_key_of_which_only_the_hash_is_in_the_settings() -> None:
    backend = backend_with_key()
    assert backend.client.get("/metrics", headers=keyed()).status_code == 200
    for wrong in (keyed("x"), keyed(""), keyed(hashlib.sha256(KEY.encode()).hexdigest()), {}):
        assert backend.client.get("/metrics", headers=wrong).status_code == 401
    assert KEY not in repr(backend.services.settings)


def test_a_key_is_no_webhook_secret() -> None:
    assert backend_with_key().client.post("/webhook", json=EVENT, headers=keyed()).status_code == 401


def test_a_key_itself_in_the_settings_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="digests") as error:
        settings_from(api_keys=KEY)
    assert KEY not in str(error.value)


def settings_from(**changes: Any) -> Any:
    from mammo.settings import Settings

    return Settings.load(**changes)


@pytest.mark.parametrize(
    ("client", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:9090", 200),
        ("127.0.0.1", "localhost:9090", 200),
        ("::1", "[::1]:9090", 200),
        ("10.1.2.3", "127.0.0.1:9090", 401),
        ("127.0.0.1", "evil.example", 401),
    ],
)
def test_insecure_lets_in_this_machine_only_and_no_page_that_pretends_to_be_it(
    client: str, host: str, status: int
) -> None:
    services = replace(Backend().services, insecure=True)
    answers = TestClient(create_app(services), client=(client, 50000))
    assert answers.post("/setup", json={}, headers={"Host": host}).status_code == status


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "label-studio", "::"])
def test_insecure_on_an_address_that_others_reach_is_refused(host: str) -> None:
    with pytest.raises(InvalidSettings, match="this machine only"):
        entry.require_loopback(settings(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_insecure_on_loopback_needs_no_secret(host: str) -> None:
    entry.require_loopback(settings(host=host, auth_password="", webhook_secret=""))


def guess(backend: Backend, count: int = MAX_WRONG_SECRETS + 5) -> list[int]:
    """So many different wrong keys, from the address that everybody here has."""
    return [backend.client.get("/metrics", headers=keyed(f"guess {n}")).status_code for n in range(count)]


def test_who_tries_many_secrets_is_stopped_before_he_finds_one() -> None:
    backend = Backend()
    assert guess(backend) == [401] * MAX_WRONG_SECRETS + [429] * 5
    stopped = backend.client.get("/metrics", headers=keyed("one more"))
    assert (stopped.status_code, stopped.json()["error"]) == (429, "too_many_requests")
    assert int(stopped.headers["Retry-After"]) >= 1
    assert backend.client.get("/health").status_code == 200


def test_guesses_of_somebody_else_at_the_same_address_shut_nobody_out() -> None:
    backend = backend_with_key()
    guess(backend)
    assert backend.client.post("/webhook", json=EVENT, headers=HOOK).status_code == 201
    assert backend.client.post("/webhook", json=EVENT, headers=BASIC).status_code == 201
    assert backend.client.post("/setup", json={}, headers=BASIC).status_code == 200
    assert backend.client.get("/metrics", headers=keyed()).status_code == 200
    assert guess(backend, 5) == [429] * 5, "whoever guesses still waits"


@pytest.mark.parametrize("path", ["/webhook", "/setup"])
def test_what_opens_one_door_lets_nobody_guess_at_another(path: str) -> None:
    """The webhook secret is shown in Label Studio; with it nobody tries passwords for as long as he likes."""
    backend = backend_with_key()
    guess(backend)
    with_it = HOOK if path == "/setup" else keyed()
    assert backend.client.post(path, json=EVENT, headers=with_it).status_code == 429


def test_a_short_password_is_guarded_by_the_limit_and_said_to_be_short() -> None:
    backend = Backend(changes={"auth_password": "short", "webhook_secret": "hook"})
    guess(backend)
    assert backend.client.post("/setup", json={}, headers=basic("short")).status_code == 429
    assert backend.client.post("/webhook", json=EVENT, headers={SECRET_HEADER: "hook"}).status_code == 201
    assert short_secrets(backend.services.settings) == [
        "YOLO_MLSAM_AUTH_PASSWORD",
        "YOLO_MLSAM_WEBHOOK_SECRET",
    ]
    assert short_secrets(Backend().services.settings) == []


def test_an_ipv6_client_with_many_addresses_is_one_client() -> None:
    backend = Backend()
    app = create_app(backend.services)

    def ask(client: str, key: str) -> int:
        return TestClient(app, client=(client, 50000)).get("/metrics", headers=keyed(key)).status_code

    answers = [ask(f"2001:db8:0:1::{n:x}", str(n)) for n in range(MAX_WRONG_SECRETS + 2)]
    assert answers == [401] * MAX_WRONG_SECRETS + [429] * 2
    assert ask("2001:db8:0:2::1", "another network") == 401
    assert ask("::ffff:192.0.2.1", "another address") == 401


def test_a_project_that_is_connected_without_its_secret_does_not_take_the_others_with_it() -> None:
    backend = Backend()
    for _ in range(3 * MAX_WRONG_SECRETS):
        assert backend.client.post("/webhook", json=EVENT).status_code == 401
    assert backend.client.post("/webhook", json=EVENT, headers=HOOK).status_code == 201
    assert backend.client.post("/setup", json={}, headers=BASIC).status_code == 200


def test_a_bucket_fills_again_evenly() -> None:
    now = [0.0]
    buckets = Buckets(60, clock=lambda: now[0])
    for _ in range(60):
        assert buckets.wait("a") == 0
        buckets.take("a")
    assert buckets.wait("a") == pytest.approx(1)
    assert buckets.wait("b") == 0
    now[0] = 2.0
    assert buckets.wait("a") == 0
