"""A page of another site cannot have a browser change anything; programs, which say nothing of a site, can."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from backend.app import create_app
from backend.cross_site import is_foreign
from tests.backend.fakes import BASIC, HOOK, Backend

HERE = "127.0.0.1:9090"
START = b'{"action":"START_TRAINING","project":{"id":5}}'

FOREIGN = [
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "Cross-Site"},
    {"Sec-Fetch-Site": " CROSS-SITE "},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "something-new"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "NULL", "Sec-Fetch-Site": "none"},
    {"Origin": "http://127.0.0.1:8080"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://localhost:9090"},
    {"Origin": "https://127.0.0.1"},
    {"Origin": "http://127.0.0.1:9090.evil.example"},
    {"Origin": "http://127.0.0.1:9090@evil.example"},
    {"Origin": "http://evil.example/127.0.0.1:9090"},
    {"Origin": "file://"},
    {"Origin": "chrome-extension://127.0.0.1:9090"},
    {"Origin": "http://127.0.0.1:99999999"},
    {"Origin": "http://[::1"},
]
OURS = [
    {},
    {"Origin": f"http://{HERE}"},
    {"Origin": f"HTTP://{HERE}"},
    {"Origin": f"http://{HERE}", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "Same-Origin", "Origin": "https://public.example"},
]


def insecure(backend: Backend) -> TestClient:
    app = create_app(replace(backend.services, insecure=True))
    return TestClient(app, client=("127.0.0.1", 50000), headers={"Host": HERE})


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_insecure_does_nothing_for_a_page_of_another_site(headers: dict[str, str]) -> None:
    backend = Backend()
    answer = insecure(backend).post(
        "/webhook", content=START, headers={**headers, "Content-Type": "text/plain"}
    )
    assert (answer.status_code, answer.json()["error"]) == (403, "cross_site")
    assert backend.store.events == []
    assert backend.queue.asked == []


@pytest.mark.parametrize("headers", OURS, ids=str)
def test_what_programs_and_our_own_pages_send_passes(headers: dict[str, str]) -> None:
    backend = Backend()
    assert insecure(backend).post("/webhook", content=START, headers=headers).status_code == 201
    assert [each.project for each in backend.queue.asked] == [5]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post", "TRACE", "MADEUP"])
def test_no_method_that_may_change_something_passes(method: str) -> None:
    answer = insecure(Backend()).request(method, "/webhook", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_is_left_to_the_browser_which_shows_it_to_no_other_site(method: str) -> None:
    answer = insecure(Backend()).request(method, "/health", headers={"Origin": "https://evil.example"})
    assert answer.status_code != 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("secret", [BASIC, HOOK], ids=["password", "webhook-secret"])
def test_a_password_that_a_browser_remembers_opens_nothing_for_another_site(secret: dict[str, str]) -> None:
    backend = Backend()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = backend.client.post("/webhook", content=START, headers={**secret, **headers})
        assert answer.status_code == 403
    assert backend.queue.asked == []
    assert backend.client.post("/webhook", content=START, headers=secret).status_code == 201


def test_pages_of_other_sites_use_up_nobodys_guesses() -> None:
    backend = Backend()
    for number in range(50):
        headers = {"Origin": "https://evil.example", "Authorization": f"Bearer {number}"}
        assert backend.client.post("/setup", json={}, headers=headers).status_code == 403
    assert backend.client.post("/setup", json={}, headers={"Authorization": "Bearer x"}).status_code == 401


@given(
    st.text(st.characters(codec="latin-1"), max_size=40), st.text(st.characters(codec="latin-1"), max_size=40)
)
def test_an_origin_however_odd_is_no_fault_and_ours_only_where_it_names_our_host(
    origin: str, host: str
) -> None:
    told = is_foreign(Headers({"origin": origin, "host": host}))
    if not told:
        assert origin.strip().lower().startswith(("http://", "https://"))
        assert host.strip()


def test_the_default_port_may_be_left_out() -> None:
    assert not is_foreign(Headers({"origin": "https://mlsam.example", "host": "mlsam.example:443"}))
    assert not is_foreign(Headers({"origin": "http://mlsam.example:80", "host": "MLSAM.example"}))
    assert is_foreign(Headers({"origin": "http://mlsam.example", "host": "mlsam.example:443"}))


def test_two_origins_are_not_ours_because_one_is() -> None:
    headers = Headers(
        raw=[(b"host", HERE.encode()), (b"origin", f"http://{HERE}".encode()), (b"origin", b"https://a")]
    )
    assert is_foreign(headers)
