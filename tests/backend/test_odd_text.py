"""Text that a database refuses is accepted or refused aloud over HTTP, on both databases; never an internal error."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from tests.backend.fakes import BASIC, HOOK, Backend
from tests.hostile_text import ODD_TEXTS


def post(backend: Backend, path: str, body: Any, headers: dict[str, str] = BASIC) -> Any:
    # As Python and JavaScript write it: a lone surrogate as its escape.
    return backend.client.post(path, content=json.dumps(body).encode(), headers=headers)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_a_reason_of_any_text_is_kept_or_refused_and_shown_again(any_engine: sa.Engine, text: str) -> None:
    backend = Backend(engine=any_engine)
    started = post(backend, "/projects/2/runs", {"reason": text})
    assert started.status_code in (202, 422), started.text
    if started.status_code == 202:
        run = started.json()["run"]
        assert backend.client.get(f"/runs/{run}", headers=BASIC).json()["reason"] == text
        assert post(backend, f"/runs/{run}/cancel", {"reason": text}).status_code == 200
        lines = backend.client.get(f"/runs/{run}/log", headers=BASIC).json()["events"]
        assert [line["text"] for line in lines] == [text, text]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_names_and_values_in_a_body_are_no_internal_error(text: str) -> None:
    backend = Backend()
    for path, body in (
        ("/projects/2/runs", {"reason": "x", text: 1}),
        ("/projects/2/runs", {"reason": "x", "recipe": text}),
        ("/setup", {"project": text, "extra_params": {"model_version": text}}),
        ("/predict", {"tasks": [{"id": 1, "data": {text: text}}], "project": text}),
        ("/predict", {"tasks": [{"id": 1, "data": {}}], "params": {"context": {"result": [{text: text}]}}}),
        (f"/projects/{2**80}/runs", {"reason": "x"}),
    ):
        answer = post(backend, path, body)
        assert answer.status_code < 500, (path, answer.text)
        json.loads(answer.content)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_an_event_with_odd_text_is_kept(text: str) -> None:
    backend = Backend()
    body = {"action": "ANNOTATION_CREATED", "annotation": {"prediction": {"model_version": text}, "x": 2**80}}
    assert post(backend, "/webhook", body, HOOK).status_code == 201
    assert len(backend.store.events) == 1


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e400", b"9" * 5000, b"-" + b"9" * 40])
def test_an_event_with_a_number_that_others_refuse_is_kept(number: bytes) -> None:
    backend = Backend()
    body = b'{"action": "ANNOTATION_UPDATED", "annotation": {"id": 1, "lead_time": %b}}' % number
    assert backend.client.post("/webhook", content=body, headers=HOOK).status_code == 201
    assert backend.store.events == [("ANNOTATION_UPDATED", body)]
