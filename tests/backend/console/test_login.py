"""Who is let into the console, and how."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from backend.app import create_app
from backend.callers import COOKIE
from backend.connections.from_proxy import FromProxy
from backend.console.routes.login import MAX_LOGINS
from backend.rate_limit import Buckets
from mammo.errors import InvalidSettings
from mammo.settings import Settings
from tests.backend.console.access import HTML, PASSWORD, add_user, browser, log_in, submit, token_in
from tests.backend.fakes import BASIC, Backend


@pytest.mark.parametrize("path", ["/console", "/console/runs", "/console/anything", "/docs"])
def test_an_unknown_user_sees_nothing_but_the_form(path: str) -> None:
    client = browser(Backend())
    for headers in ({}, BASIC, {"Cookie": f"{COOKIE}=guessed"}):
        answer = client.get(path, headers=headers, follow_redirects=False)
        assert (answer.status_code, answer.text) == (303, "")
        assert answer.headers["Location"].startswith("/console/login?next=")
    assert client.post(path, data={"reason": "x"}).status_code == 401
    assert client.get("/api/v1/runs", headers=BASIC).status_code == 401


def test_a_user_logs_in_sees_the_page_that_was_asked_for_and_logs_out() -> None:
    backend = Backend()
    client = browser(backend)
    add_user(backend, "anna", "lead")
    sent = log_in(client, "anna", next="/console/runs")
    assert (sent.status_code, sent.headers["Location"]) == (303, "/console/runs")
    page = client.get("/console")
    assert "anna" in page.text
    cookie = client.cookies[COOKIE]
    assert submit(client, "/console/logout", on="/console").status_code == 303
    client.cookies.set(COOKIE, cookie)
    assert client.get("/console", follow_redirects=False).status_code == 303, (
        "the session has ended, not only its cookie"
    )


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_kept_from_scripts_and_other_sites(scheme: str, secure: bool) -> None:
    backend = Backend()
    add_user(backend, "anna")
    client = TestClient(create_app(backend.services), base_url=f"{scheme}://testserver")
    cookie = log_in(client, "anna").headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert ("secure" in cookie) == secure


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example",
        "//evil.example",
        "/console//evil.example/",
        "/console/\\evil",
        "/predict",
    ],
)
def test_a_log_in_leads_to_no_other_site(elsewhere: str) -> None:
    backend = Backend()
    add_user(backend, "anna")
    assert log_in(browser(backend), "anna", next=elsewhere).headers["Location"] == "/console"


def test_a_wrong_password_and_an_unknown_name_look_the_same() -> None:
    backend = Backend()
    client = browser(backend)
    add_user(backend, "anna")
    wrong, unknown = log_in(client, "anna", "not the password"), log_in(client, "berta")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text == unknown.text
    assert "Set-Cookie" not in wrong.headers


def test_who_guesses_passwords_is_stopped_and_does_not_stop_those_who_are_in() -> None:
    backend = Backend()
    inside = browser(backend, "viewer")
    guesser = browser(backend)
    guesser.app.state.login_limits.guesses = Buckets(MAX_LOGINS, clock=lambda: 0.0)  # type: ignore[attr-defined]
    statuses = [log_in(guesser, "anna", f"guess number {n}").status_code for n in range(MAX_LOGINS + 2)]
    assert statuses[0] == 401
    assert statuses[-2:] == [429, 429]
    assert log_in(guesser, "anna").status_code == 429, "even with the right one"
    assert inside.get("/console").status_code == 200


def test_a_form_without_its_token_or_with_another_ones_changes_nothing() -> None:
    backend = Backend()
    client, other = browser(backend, "viewer"), browser(backend, "viewer", name="berta")
    stolen = token_in(other.get("/console").text)
    for fields in ({}, {"csrf": ""}, {"csrf": stolen}):
        assert client.post("/console/logout", data=fields).status_code == 403
    assert client.get("/console").status_code == 200


def test_a_page_of_another_site_cannot_log_anybody_in() -> None:
    backend = Backend()
    add_user(backend, "anna")
    headers = {"Origin": "https://evil.example"}
    form = {"name": "anna", "password": PASSWORD}
    assert browser(backend).post("/console/login", data=form, headers=headers).status_code == 403


def proxied(backend: Backend, client: str, **headers: str) -> Any:
    app = FromProxy(create_app(backend.services), ["10.1.0.7/32"])
    return TestClient(app, client=(client, 50000)).get(
        "/console", headers={**HTML, **headers}, follow_redirects=False
    )


def test_a_name_in_a_header_counts_from_the_named_proxy_only() -> None:
    backend = Backend(changes={"user_header": "X-Remote-User", "trusted_proxies": "10.1.0.7"})
    backend.services.site.access.users.add("carla", "viewer", password=None, actor="a test")
    seen = proxied(backend, "10.1.0.7", **{"X-Remote-User": "carla", "X-Forwarded-For": "192.0.2.9"})
    assert seen.status_code == 200
    assert "carla" in seen.text
    assert proxied(backend, "10.1.0.8", **{"X-Remote-User": "carla"}).status_code == 303
    assert proxied(backend, "10.1.0.7", **{"X-Remote-User": "stranger"}).status_code == 303
    assert (
        proxied(backend, "10.1.0.8", **{"X-Remote-User": "carla", "X-Forwarded-For": "10.1.0.7"}).status_code
        == 303
    )
    without = Backend()
    without.services.site.access.users.add("carla", "viewer", password=None, actor="a test")
    assert proxied(without, "10.1.0.7", **{"X-Remote-User": "carla"}).status_code == 303, "no header is set"


def test_a_header_without_a_proxy_is_refused_at_the_start() -> None:
    with pytest.raises(InvalidSettings, match="TRUSTED_PROXIES"):
        Settings.load(user_header="X-Remote-User")


def test_a_key_of_the_database_does_what_its_role_says_until_it_is_revoked() -> None:
    backend = Backend()
    keys = backend.services.site.access.keys
    viewer, administrator = (
        keys.add("dashboard", "viewer", actor="a"),
        keys.add("ci", "administrator", actor="a"),
    )

    def status(method: str, path: str, key: str) -> int:
        return backend.client.request(
            method, path, headers={"Authorization": f"Bearer {key}"}, json={} if method == "POST" else None
        ).status_code

    assert status("GET", "/runs", viewer) == 200
    assert status("POST", "/projects/3/runs", viewer) == 401
    assert status("POST", "/projects/3/runs", administrator) == 202
    assert status("POST", "/webhook", administrator) == 401, "a key is no webhook secret"
    keys.revoke("dashboard", actor="a")
    assert status("GET", "/runs", viewer) == 401
