"""What is wrong with an installation, on the console: with its remedy, and repaired by who may."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from backend import problems
from mammo.doctor.diagnosis import Diagnosis, broken, warning, well
from mammo.doctor.inspection import Inspection
from mammo.errors import LabelStudioError
from mammo.runs import Runs
from tests.backend.console.access import browser, submit
from tests.backend.fakes import Backend


class Faults:
    """A check that finds `ill`, and repairs it unless it is told to fail."""

    def __init__(self) -> None:
        self.ill = {"redis", "webhook"}
        self.fails = False

    def check(self, inspection: Inspection) -> Iterator[Diagnosis]:
        yield well("database", "the database is there")
        for name in sorted(self.ill):
            yield broken(name, f"{name} <b>is ill</b>", "call it", self.mend)
        yield warning("disk", "little is free", "free some")

    def mend(self) -> None:
        if self.fails:
            raise LabelStudioError("it is away")
        self.ill.discard("redis")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()
    monkeypatch.setattr(problems, "SERVICE", (found.check,))
    monkeypatch.setattr(problems, "check_server", lambda _: [])
    return found


def page_when(client: Any, words: str) -> str:
    for _ in range(500):
        page: str = client.get("/console").text
        if words in page:
            return page
        time.sleep(0.02)
    raise AssertionError(f"the page never said {words!r}")


def test_problems_are_shown_with_their_remedy_and_what_is_well_is_not(faults: Faults) -> None:
    page = page_when(browser(Backend(), "viewer"), "Checked")
    assert "redis &lt;b&gt;is ill&lt;/b&gt;" in page
    assert "call it" in page
    assert "little is free" in page
    assert "the database is there" not in page
    assert "Repair it" not in page, "a viewer repairs nothing"


def test_an_administrator_repairs_by_a_button_and_the_trail_says_so(faults: Faults) -> None:
    backend = Backend()
    client = browser(backend, "administrator")
    assert page_when(client, "Checked").count("Repair it") == 2
    answer = submit(client, "/console/problems/redis/repair", on="/console", project="0")
    assert answer.status_code == 303
    assert page_when(client, "Checked").count("Repair it") == 1
    (entry,) = backend.services.site.access.trail.newest(limit=1)
    assert (entry.actor, entry.action, entry.subject) == ("anna", "problem repaired", "installation")
    again = submit(client, "/console/problems/redis/repair", on="/console", project="0")
    assert again.status_code == 409, "it is repaired"
    assert submit(client, "/console/problems/disk/repair", on="/console", project="0").status_code == 409
    assert submit(client, "/console/problems/redis/repair", on="/console", project="-1").status_code == 422
    faults.fails = True
    failed = submit(client, "/console/problems/webhook/repair", on="/console", project="0")
    assert (failed.status_code, "It is away" in failed.text) == (502, True)


def test_who_may_not_repairs_nothing(faults: Faults) -> None:
    backend = Backend()
    client = browser(backend, "lead")
    page_when(client, "Checked")
    assert submit(client, "/console/problems/redis/repair", on="/console", project="0").status_code == 403
    assert "redis" in faults.ill


def test_the_api_lists_and_says_that_nothing_was_checked_yet(faults: Faults) -> None:
    backend = Backend()
    Runs(backend.engine).request(3, recipe="smoke", reason="first", trigger="cli")
    client = browser(backend, "viewer")
    page_when(client, "Checked")
    body = client.get("/api/v1/problems").json()
    assert [(each["check"], each["state"], each["repairable"]) for each in body["problems"]] == [
        ("redis", "broken", True),
        ("webhook", "broken", True),
        ("disk", "warning", False),
    ]
    assert client.get("/api/v1/problems?project=-1").status_code == 422
