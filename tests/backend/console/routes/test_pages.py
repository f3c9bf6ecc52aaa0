"""The console's pages: what they show, and what their forms do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from mammo.annotations import AnnotationStore
from mammo.database import dataset_version, open_database, run, writing
from mammo.efforts.effort_records import Efforts
from mammo.errors import InsufficientData
from mammo.learning_curves import LearningCurves
from mammo.models import PROVISIONAL, STARTER, ModelRegistry
from mammo.models.provisional import serve
from mammo.runs import Runs, claim
from mammo.runs.claims import RunLedger
from tests.backend.console.access import browser, page_at_rest, submit
from tests.backend.fakes import HOOK, Backend
from tests.mammo.exchange.import_files import FakeTasks

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> \"'{{7*7}}"


class WithModels(Backend):
    """A backend whose registry has a second version beside the champion."""

    second: str


@pytest.fixture
def backend(tmp_path: Any) -> Iterator[WithModels]:
    """A backend on a real database, with two model versions."""
    engine = open_database(f"sqlite:///{tmp_path / 'data' / 'site.db'}")
    registry = ModelRegistry(engine, tmp_path / "blobs")
    registry.ensure_starter(STARTER)
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    made = WithModels(
        engine=engine,
        store=AnnotationStore(engine),  # type: ignore[arg-type]
        changes={"data_dir": tmp_path / "data"},
        parts={
            "registry": registry,
            "efforts": lambda _: Efforts(),
            "announce_champion": lambda version: True,
            "make_room": lambda: None,
        },
    )
    manifest = {
        "threshold": 0.2,
        "prompt_rule": "robust",
        "prompt_count": 3,
        "parent": registry.champion().version,
    }
    made.second = registry.register(detector=weights, segmenter=weights, manifest=manifest)
    facts = {
        "name": "d1",
        "project": 3,
        "num_items": 40,
        "num_excluded": 0,
        "last_event": 0,
        "num_held_out": 10,
    }
    with writing(engine) as connection:
        connection.execute(sa.insert(dataset_version).values(**facts, created_at=datetime.now(UTC)))
    yield made
    engine.dispose()


def add_project(backend: Backend) -> None:
    """Make project 3 known, by a run that has ended."""
    runs = Runs(backend.engine)
    if not runs.newest():
        runs.cancel(runs.request(3, recipe="smoke", reason="first", trigger="cli").run)


def start(backend: Backend, client: Any, **fields: str) -> str:
    form = {"project": "3", "recipe": "smoke", "reason": "40 new cases", **fields}
    add_project(backend)
    answer = submit(client, "/console/runs", on="/console/runs", **form)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"].rpartition("/")[2])


def test_every_page_opens_and_an_unknown_one_is_404(backend: WithModels) -> None:
    client = browser(backend, "administrator")
    name = start(backend, client)
    second = backend.second
    for path in (
        "",
        "/runs",
        "/runs?project=3",
        f"/runs/{name}",
        "/models",
        f"/models/{second}",
        "/models/champion",
        "/audit",
    ):
        page = client.get(f"/console{path}")
        assert page.status_code == 200, page.text
        assert page.text.count("<h1>") == 1
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert client.get("/docs").status_code == 200
    for path in ("/runs/retrain-3-000000000000", "/models/m9999-nothing", "/elsewhere"):
        page = client.get(f"/console{path}")
        assert page.status_code == 404
        assert "<h1>Not found</h1>" in page.text


def test_a_hostile_name_is_shown_and_not_run(backend: WithModels) -> None:
    client = browser(backend, "administrator")
    Runs(backend.engine).request(3, recipe="smoke", reason=HOSTILE, trigger="cli")
    name = Runs(backend.engine).newest()[0].id
    claimed = claim(Runs(backend.engine), name, owner=HOSTILE)
    assert claimed is not None
    RunLedger(backend.engine, claimed).log(HOSTILE)
    submit(client, f"/console/runs/{name}/cancel", on=f"/console/runs/{name}", reason=HOSTILE)
    for path in ("", "/runs", f"/runs/{name}", "/audit"):
        page = client.get(f"/console{path}").text
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "{{7*7}}" in page or path == ""
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in client.get(f"/console/runs/{name}").text


def test_a_run_is_started_cancelled_and_resumed_and_the_trail_says_by_whom(backend: WithModels) -> None:
    client = browser(backend, "administrator")
    name = start(backend, client)
    page = f"/console/runs/{name}"
    assert "waiting for a worker" in client.get(page).text
    submit(client, f"{page}/cancel", on=page, reason="wrong recipe")
    assert "cancelled" in client.get(page).text
    again = client.get(page).text
    assert "Cancel the run" not in again
    submit(client, f"{page}/resume", on=page, reason="right after all")
    entries = backend.services.site.access.trail.newest(limit=2)
    assert [(each.actor, each.action, each.subject, each.reason) for each in entries] == [
        ("anna", "run resumed", name, "right after all"),
        ("anna", "run cancelled", name, "wrong recipe"),
    ]


def test_what_cannot_be_done_is_a_sentence_on_a_page(backend: WithModels) -> None:
    client = browser(backend, "administrator")
    name = start(backend, client)
    page = f"/console/runs/{name}"
    submit(client, f"{page}/cancel", on=page, reason="x")
    refused = submit(client, f"{page}/cancel", on=page, reason="again")
    assert refused.status_code == 409
    assert "has already ended" in refused.text
    nothing = submit(client, "/console/models/rollback", on="/console/models/" + backend.second, reason="x")
    assert nothing.status_code == 404
    assert "no earlier champion" in nothing.text


@pytest.mark.parametrize(("project", "status"), [("77", 404), ("9" * 5000, 422), ("0", 422), ("-3", 422)])
def test_a_run_of_a_project_that_is_none_is_refused_and_not_recorded(project: str, status: int) -> None:
    backend = Backend(parts={"label_studio": FakeTasks(), "efforts": lambda _: Efforts()})
    client = browser(backend, "administrator")
    form = {"project": project, "recipe": "smoke", "reason": "x"}
    assert submit(client, "/console/runs", on="/console/runs", **form).status_code == status
    assert Runs(backend.engine).newest() == []


def test_a_version_is_promoted_and_rolled_back_with_a_reason_only(backend: WithModels) -> None:
    client, second = browser(backend, "administrator"), backend.second
    page = f"/console/models/{second}"
    assert submit(client, f"{page}/promote", on=page, reason=" ").status_code == 422
    assert submit(client, f"{page}/promote", on=page, reason="looks better").status_code == 303
    assert backend.services.site.registry.champion().version == second
    assert "looks better" in client.get("/console/models").text
    assert "Promote</button>" not in client.get(page).text
    assert (
        submit(client, "/console/models/rollback", on="/console/models", reason="it was not").status_code
        == 303
    )
    assert backend.services.site.registry.champion().version != second
    actions = [(each.actor, each.action) for each in backend.services.site.access.trail.newest(limit=2)]
    assert actions == [("anna", "model rolled back"), ("anna", "model promoted")]


@pytest.mark.parametrize("role", ["viewer", "lead"])
def test_who_may_not_sees_no_button_and_is_refused(backend: WithModels, role: Any) -> None:
    administrator = browser(backend, "administrator", name="root")
    name = start(backend, administrator)
    client = browser(backend, role)
    for path in ("/console/runs", f"/console/runs/{name}", f"/console/models/{backend.second}"):
        assert client.get(path).text.count("<form") == 1, "log out"
    for path in ("/console/runs", f"/console/runs/{name}/cancel", "/console/models/rollback"):
        assert submit(client, path, on="/console", reason="x").status_code == 403
    assert client.get("/console/audit").status_code == 403
    assert "/console/audit" not in client.get("/console").text


def test_the_trail_is_paged_and_exported(backend: WithModels) -> None:
    client = browser(backend, "administrator")
    for number in range(105):
        backend.services.site.access.keys.add(f"key{number}", "viewer", actor="root@here")
    first = client.get("/console/audit")
    assert "Older entries" in first.text
    assert first.text.count('<th scope="row"') == 100
    exported = client.get("/console/audit.csv")
    num_entries = backend.services.site.access.trail.verify().num_entries
    assert exported.text.count("\r\n") == 1 + num_entries
    assert len(client.get("/console/audit.jsonl").text.splitlines()) == num_entries > 105


def test_the_overview_says_what_waits_what_was_decided_and_what_runs(backend: WithModels) -> None:
    client = browser(backend, "viewer")
    runs = Runs(backend.engine)
    runs.request(3, recipe="smoke", reason="first", trigger="cli")
    page = client.get("/console").text
    assert "Project 3" in page
    assert "<progress" in page
    runs.cancel(runs.newest()[0].id, reason="enough")
    page = client.get("/console").text
    assert "The last run was cancelled." in page
    assert "Nothing new to learn from" in page
    assert backend.services.site.registry.champion().version in page
    assert f"{datetime.now(UTC):%Y-%m}" in page


def test_what_label_studios_button_was_refused_is_on_the_first_page_until_a_run_begins(
    backend: WithModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise InsufficientData("annotate about 12 more <patients> first")

    monkeypatch.setattr("backend.requested_runs.require_possible", refuse)
    press = {"action": "START_TRAINING", "project": {"id": 3}}
    assert backend.client.post("/webhook", json=press, headers=HOOK).status_code == 201
    add_project(backend)  # by a run that is older
    with writing(backend.engine) as connection:
        connection.execute(sa.update(run).values(created_at=datetime.now(UTC) - timedelta(hours=1)))
    client = browser(backend, "viewer")
    page = client.get("/console").text
    assert "Start Training</em> was refused" in page
    assert "annotate about 12 more &lt;patients&gt; first" in page
    (project,) = client.get("/api/v1/projects").json()["projects"]
    assert project["refused"] == "annotate about 12 more <patients> first"
    Runs(backend.engine).request(3, recipe="smoke", reason="now", trigger="cli")
    assert "was refused" not in client.get("/console").text


CURVE = {
    "measure": "mean",
    "held_out": 9,
    "method": "each point is the challenger of a judged run",
    "points": [
        {"patients": n, "value": value, "low": value - 0.05, "high": value + 0.05, "source": f"retrain-3-{n}"}
        for n, value in ((8, 0.6), (16, 0.7), (24, 0.75))
    ],
    "law": {"forecast": [{"patients": 48, "value": 0.8, "low": 0.74, "high": None}]},
    "sentence": "some 14 more patients (80 % interval 6 to 30) until the gate could tell a gain of 0.05",
}


def test_a_provisional_model_is_marked_and_the_curve_is_drawn(backend: WithModels, tmp_path: Any) -> None:
    client, site = browser(backend, "administrator"), backend.services.site
    add_project(backend)
    (tmp_path / "provisional").write_bytes(b"provisional")
    version = site.registry.register(
        detector=tmp_path / "provisional",
        segmenter=tmp_path / "provisional",
        manifest={"threshold": 0.2, "prompt_rule": "robust", "prompt_count": 3, PROVISIONAL: 3},
    )
    with writing(backend.engine) as connection:
        serve(connection, 3, version, reason="better", actor="a test")
    LearningCurves(backend.engine).append(3, CURVE, run="retrain-3-24")
    page = client.get("/console").text
    assert f'href="/console/models/{version}">{version}</a>' in page
    assert "provisional</strong>, for this project only" in page
    assert "Some 14 more patients" in page
    assert page.count("dot-0") > 3  # a dot of each point, and one of the key
    assert "<td>forecast</td>" in page
    assert f"provisional, project {3}" in client.get("/console/models").text
    card = page_at_rest(client, f"/console/models/{version}")
    assert "cannot become champion" in card
    assert "/promote" not in card
    refused = submit(client, f"/console/models/{version}/promote", on="/console/runs", reason="I want it")
    assert refused.status_code == 409
    assert "provisional" in refused.text
    run = start(backend, client, recipe="provisional")
    assert run.startswith("provisional-3-")


def test_a_run_shows_its_curves_while_it_trains(backend: WithModels) -> None:
    client = browser(backend, "viewer")
    runs = Runs(backend.engine)
    name = runs.request(3, recipe="smoke", reason="first", trigger="cli").run
    owned = claim(runs, name, owner="nowhere/1/1")
    assert owned is not None
    ledger = RunLedger(backend.engine, owned)
    for step, value in ((1, 2.0), (2, 1.0), (2, 1.25), (3, float("nan"))):
        ledger.measure("detector", "box loss", step, value)
    page = client.get(f"/console/runs/{name}").text
    assert 'data-fragment="curves"' in page
    assert "Detector: loss" in page
    assert client.get(f"/api/v1/runs/{name}").json()["curves"] == {
        "detector": {"box loss": [[1, 2.0], [2, 1.25]]}
    }


def test_runs_are_paged(backend: WithModels) -> None:
    client = browser(backend, "viewer")
    runs = Runs(backend.engine)
    for number in range(53):
        runs.cancel(runs.request(3, recipe="smoke", reason=f"number {number}", trigger="cli").run)
    first = client.get("/console/runs?project=3").text
    assert first.count('<th scope="row">') == 50
    assert "page=2" in first
    second = client.get("/console/runs?project=3&page=2").text
    assert second.count('<th scope="row">') == 3
    assert "number 0<" in second
    assert "Older runs" not in second


@pytest.mark.parametrize("breaks", ["facts", "rendering"])
def test_what_fails_unexpectedly_is_a_page_with_a_number_that_the_log_has_and_no_detail(
    backend: WithModels, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    client = browser(backend, "viewer")

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("mammo.runs.Runs.newest", fail)
    if breaks == "rendering":
        monkeypatch.setattr("backend.console.rendering.Renderer.text", fail)
    with structlog.testing.capture_logs() as logs:
        answer = client.get("/console/runs")
    assert answer.status_code == 500
    (logged,) = [each["incident"] for each in logs if each["event"] == "unexpected error"]
    assert logged in answer.text
    assert "secret detail" not in answer.text
    is_page = answer.headers["Content-Type"].startswith("text/html")
    assert is_page is (breaks == "facts")
    if is_page:
        assert "<h1>Something went wrong</h1>" in answer.text
    other = client.get("/api/v1/runs")
    assert (other.status_code, other.json()["error"]) == (500, "internal")
