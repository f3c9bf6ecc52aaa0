"""Who is let in, who is not, and how often somebody may try."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from backend import __main__ as entry
from backend.app import create_app
from backend.rate_limit import WRONG_SECRETS, Buckets
from mammo.errors import InvalidSettings
from tests.backend.fakes import BASIC, HOOK, Backend, settings

KEY = "k" * 43
EVENT = {"action": "ANNOTATION_CREATED", "project": {"id": 3}}


def keyed(key: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


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


def test_who_tries_many_secrets_is_stopped_before_he_finds_one() -> None:
    backend = Backend()
    answers = [
        backend.client.get("/metrics", headers=keyed(str(n))).status_code for n in range(WRONG_SECRETS + 5)
    ]
    assert answers == [401] * WRONG_SECRETS + [429] * 5
    stopped = backend.client.get("/metrics", headers=BASIC)
    assert (stopped.status_code, stopped.json()["error"]) == (429, "too_many_requests")
    assert int(stopped.headers["Retry-After"]) >= 1
    assert backend.client.get("/health").status_code == 200


def test_a_project_that_is_connected_without_its_secret_does_not_take_the_others_with_it() -> None:
    backend = Backend()
    for _ in range(3 * WRONG_SECRETS):
        assert backend.client.post("/webhook", json=EVENT).status_code == 401
    assert backend.client.post("/webhook", json=EVENT, headers=HOOK).status_code == 201
    assert backend.client.post("/setup", json={}, headers=BASIC).status_code == 200


def test_too_many_requests_wait_but_events_never_do() -> None:
    backend = Backend(changes={"requests_per_minute": 3})
    answers = [backend.client.post("/setup", json={}, headers=BASIC).status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]
    for _ in range(5):
        assert backend.client.post("/webhook", json=EVENT, headers=HOOK).status_code == 201


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
