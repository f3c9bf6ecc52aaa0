"""`/api/v1`: what the console shows and does, for programs."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from backend.callers import CSRF_HEADER
from mammo.access.roles import Role
from mammo.learning_curves import LearningCurves
from tests.backend.console.access import browser, token_in
from tests.backend.fakes import BASIC, Backend
from tests.mammo.exchange.import_files import FakeTasks


@pytest.fixture
def backend() -> Backend:
    return Backend(parts={"announce_champion": lambda _: True, "make_room": lambda: None})


def program(backend: Backend, role: Role = "administrator") -> TestClient:
    key = backend.services.site.access.keys.add(f"of-{role}", role, actor="a test")
    client = backend.client
    client.headers["Authorization"] = f"Bearer {key}"
    return client


def test_a_run_is_started_without_a_body_shown_cancelled_and_resumed(backend: Backend) -> None:
    client = program(backend)
    started = client.post("/api/v1/projects/3/runs")
    assert started.status_code == 202, started.text
    name = started.json()["run"]
    assert client.post("/api/v1/projects/3/runs", json={"reason": "again"}).json()["created"] is False
    assert [run["id"] for run in client.get("/api/v1/runs?project=3").json()["runs"]] == [name]
    assert client.post(f"/api/v1/runs/{name}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/api/v1/runs/{name}/cancel").status_code == 409
    assert client.post(f"/api/v1/runs/{name}/resume", json={"reason": "after all"}).status_code == 202
    assert client.get(f"/api/v1/runs/{name}").json()["state"] == "queued"
    actors = {each["actor"] for each in client.get("/api/v1/audit").json()["entries"]}
    assert "key of-administrator" in actors
    assert client.get("/api/v1/audit/verification").json()["problem"] is None


def test_a_provisional_model_may_be_asked_for_beside_a_retrain_and_the_curve_be_read(
    backend: Backend,
) -> None:
    client = program(backend)
    retrain = client.post("/api/v1/projects/3/runs").json()
    started = client.post("/api/v1/projects/3/runs", json={"recipe": "provisional"}).json()
    assert (retrain["created"], started["created"]) == (True, True)
    assert started["run"].startswith("provisional-3-")
    assert client.get("/api/v1/projects/3/curve").json() == {"project": 3, "curve": None}
    LearningCurves(backend.engine).append(3, {"points": []}, run="retrain-3-1")
    assert client.get("/api/v1/projects/3/curve").json()["curve"]["run"] == "retrain-3-1"


def test_a_run_of_a_project_that_label_studio_does_not_have_is_refused_and_not_recorded() -> None:
    client = program(Backend(parts={"label_studio": FakeTasks(), "make_room": lambda: None}))
    refused = client.post("/api/v1/projects/77/runs")
    assert (refused.status_code, refused.json()["error"]) == (404, "unknown_project")
    assert client.get("/api/v1/runs").json()["runs"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/runs/retrain-3-000000000000",
        "/models/m9999-nothing",
        "/runs/retrain-3-000000000000/log",
        "/elsewhere",
    ],
)
def test_what_is_not_there_is_404_in_the_one_shape(backend: Backend, path: str) -> None:
    answer = program(backend).get(f"/api/v1{path}")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "message"}


def test_a_body_that_is_not_understood_is_refused(backend: Backend) -> None:
    client = program(backend)
    for body in ({"reasn": "x"}, {"recipe": "best"}, []):
        answer = client.post("/api/v1/projects/3/runs", json=body)
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert client.post("/api/v1/models/m0001/promote", json={"reason": "  "}).status_code == 422
    assert client.post("/api/v1/rollback").status_code == 422


@pytest.mark.parametrize(
    ("role", "statuses"), [("viewer", (200, 403, 403, 403)), ("lead", (200, 403, 403, 403))]
)
def test_a_role_may_only_what_it_says(backend: Backend, role: Role, statuses: tuple[int, ...]) -> None:
    client = program(backend, role)
    given = (
        client.get("/api/v1/projects").status_code,
        client.post("/api/v1/projects/3/runs").status_code,
        client.post("/api/v1/rollback", json={"reason": "x"}).status_code,
        client.get("/api/v1/audit").status_code,
    )
    assert given == statuses


def test_label_studios_password_opens_nothing_here(backend: Backend) -> None:
    for path in ("/api/v1/runs", "/api/v1/projects", "/api/v1/openapi.json", "/api/v1/audit"):
        answer = backend.client.get(path, headers=BASIC)
        assert (answer.status_code, answer.json()["error"]) == (401, "http_401")


def test_a_browser_needs_the_pages_token_to_change_something(backend: Backend) -> None:
    client = browser(backend, "administrator")
    assert client.post("/api/v1/projects/3/runs").status_code == 403
    token = token_in(client.get("/console").text)
    assert client.post("/api/v1/projects/3/runs", headers={CSRF_HEADER: token}).status_code == 202


def test_the_description_holds_every_route_and_names_no_other(backend: Backend) -> None:
    described: dict[str, Any] = program(backend).get("/api/v1/openapi.json").json()
    assert all(path.startswith("/api/v1/") for path in described["paths"])
    assert {"/api/v1/projects", "/api/v1/runs/{name}/cancel", "/api/v1/rollback"} <= set(described["paths"])
    body = described["paths"]["/api/v1/projects/{project}/runs"]["post"]["requestBody"]
    assert not body.get("required", False)
    assert described["components"]["schemas"]["RunOrder"]["examples"]
    page = program_page(backend)
    assert all(path in page for path in described["paths"])


def program_page(backend: Backend) -> str:
    return backend.client.get("/docs").text
