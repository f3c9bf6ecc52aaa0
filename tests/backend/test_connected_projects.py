"""A project that was just connected is on the first page, with what to do next, before anything of it is known."""

from __future__ import annotations

from typing import Any

from mammo.labelstudio.client import SECRET_HEADER
from tests.backend.console.access import browser
from tests.backend.fakes import HOOK, Backend
from tests.fakes.label_studio import FakeLabelStudio


def connected(server: FakeLabelStudio, *projects: int, **changes: Any) -> None:
    for project in projects:
        hook = {"url": "http://backend:9090/webhook", "headers": dict(HOOK), "is_active": True}
        server.webhooks.append({"id": 10 + project, "project": project, **hook, **changes})


def test_a_connected_project_appears_with_what_to_do_next() -> None:
    server = FakeLabelStudio()
    connected(server, 12)
    connected(server, 13, headers={})
    connected(server, 14, headers={SECRET_HEADER: "another installation"})
    connected(server, 15, is_active=False)
    backend = Backend(parts={"label_studio": server.client()})
    client = browser(backend, "viewer")
    page = client.get("/console").text
    assert "Project 12" in page
    assert "yolo-mlsam import FOLDER --project 12" in page
    projects = client.get("/api/v1/projects").json()["projects"]
    (new,) = [each for each in projects if each["new"]]
    assert new["project"] == 12
    assert "submit the corrected outlines" in new["next_step"]


def test_without_label_studio_the_page_shows_what_is_known() -> None:
    page = browser(Backend(), "viewer").get("/console")
    assert page.status_code == 200
    assert "No project is connected yet" in page.text
