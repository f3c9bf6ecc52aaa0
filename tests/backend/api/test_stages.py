"""Stages over `/api/v1` and on their page: an annotator lead changes them, within the rules."""

from __future__ import annotations

from typing import Any

import pytest

from mammo.efforts.effort_records import Efforts
from mammo.stages import StageService
from tests.backend.api.test_api import program
from tests.backend.console.access import browser, submit
from tests.backend.fakes import Backend

PATH = "/api/v1/projects/3/stage"
PAGE = "/console/projects/3/stage"


@pytest.fixture
def backend() -> Backend:
    made = Backend(parts={"make_room": lambda: None})
    site = made.services.site
    site.__dict__["stages"] = StageService(
        site.stage_log, efforts=lambda _: Efforts(), served_version=lambda _: "m1", rules=rules
    )
    return made


def rules(_: int) -> Any:
    from mammo.stages import StageRules

    return StageRules()


def test_a_lead_changes_a_stage_and_the_trail_has_the_name(backend: Backend) -> None:
    client = program(backend, "lead")
    changed = client.post(PATH, json={"stage": "assisted", "reason": "readers follow the prelabels"})
    assert changed.status_code == 200, changed.text
    assert client.get(PATH).json()["stage"] == "assisted"
    (entry, *_) = backend.services.site.access.trail.newest(limit=1)
    assert (entry.actor, entry.action) == ("key of-lead", "stage changed")


def test_forward_needs_the_rules_and_only_an_administrator_overrules_them(backend: Backend) -> None:
    lead = program(backend, "lead")
    order = {"stage": "automatic", "reason": "we are in a hurry"}
    assert lead.post(PATH, json=order).status_code == 409
    assert lead.post(PATH, json={**order, "override": True}).status_code == 403
    assert lead.post(PATH, json={"stage": "assisted"}).status_code == 422, "a reason is needed"


def test_a_viewer_reads_only(backend: Backend) -> None:
    client = program(backend, "viewer")
    assert client.get(PATH).status_code == 200
    assert client.post(PATH, json={"stage": "assisted", "reason": "x"}).status_code == 403
    page = browser(backend, "viewer").get(PAGE).text
    assert "Change the stage" not in page


def test_the_page_changes_a_stage_and_shows_by_whom_and_why(backend: Backend) -> None:
    client = browser(backend, "lead")
    assert "although the rules are not met" not in client.get(PAGE).text
    assert submit(client, PAGE, on=PAGE, stage="assisted", reason="<b>tired</b>").status_code == 303
    page = client.get(PAGE).text
    assert "&lt;b&gt;tired&lt;/b&gt;" in page
    assert "<strong>assisted</strong>" in page
    assert submit(client, PAGE, on=PAGE, stage="assisted", reason="").status_code == 422
    assert submit(client, PAGE, on=PAGE, stage="none", reason="x").status_code == 422
    assert submit(client, PAGE, on=PAGE, stage="semi-automatic", reason="x", override="on").status_code == 403
