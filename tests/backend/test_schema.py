"""Whatever fits the OpenAPI schema, and much that does not, is answered without a fault and without a secret."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import Case
from schemathesis.generation import GenerationMode

from tests.backend.fakes import BASIC, HOOK, PASSWORD, SECRET, Backend

BACKEND = Backend(
    changes={"max_body_bytes": 2**20}, parts={"make_room": lambda: None, "announce_champion": lambda _: True}
)
KEY = BACKEND.services.site.access.keys.add("schema", "administrator", actor="a test")
APP: Any = BACKEND.client.app
schema = schemathesis.openapi.from_dict(APP.openapi())
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@schema.parametrize()
@hypothesis.settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
)  # fmt: skip
def test_no_request_is_answered_with_a_fault(case: Case) -> None:
    sent = case.as_transport_kwargs(base_url="http://testserver")
    sent["headers"] = {**dict(sent.pop("headers", None) or {}), **BASIC, **HOOK}
    if sent["url"].partition("testserver")[2].startswith("/api/v1"):
        sent["headers"]["Authorization"] = f"Bearer {KEY}"
    sent.pop("verify", None)
    assert not sent.pop("cookies", None), "no route takes any"
    if isinstance(sent.get("data"), str | bytes):
        sent["content"] = sent.pop("data")
    url, method = sent.pop("url"), sent.pop("method")
    answer = BACKEND.client.request(method, url, **{k: v for k, v in sent.items() if v is not None})
    assert answer.status_code < 500, (method, url, sent, answer.text)
    for secret in (PASSWORD, SECRET, "Traceback", "/work/", "site-packages"):
        assert secret not in answer.text
    for header in ("Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"):
        assert header in answer.headers


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook", "/metrics", "/versions"])
def test_every_route_but_health_asks_who_is_there(path: str) -> None:
    for method in ("GET", "POST"):
        assert BACKEND.client.request(method, path).status_code in (401, 405)
