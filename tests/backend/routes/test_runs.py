"""Runs over HTTP: start, look, follow, cancel, resume; and what is refused."""

from __future__ import annotations

import orjson
import pytest

from mammo.runs import RunLedger, claim, this_process
from tests.backend.fakes import BASIC, Backend
from tests.mammo.exchange.import_files import FakeTasks


def post(backend: Backend, path: str, **body: object):
    return backend.client.post(path, json=body, headers=BASIC)


def get(backend: Backend, path: str, **headers: str):
    return backend.client.get(path, headers=BASIC | headers)


def test_a_run_is_started_shown_cancelled_and_resumed() -> None:
    backend = Backend()
    first = post(backend, "/projects/3/runs", reason="new cases", recipe="demo")
    again = post(backend, "/projects/3/runs")
    assert (first.status_code, first.json()["created"], again.json()["created"]) == (202, True, False)
    run = first.json()["run"]
    shown = get(backend, f"/runs/{run}").json()
    assert (shown["state"], shown["recipe"], shown["trigger"], shown["reason"]) == (
        "queued", "demo", "api", "new cases",
    )  # fmt: skip
    assert (shown["progress"], shown["seconds_left"], shown["results"]) == (0.0, None, {})
    assert [each["id"] for each in get(backend, "/runs?project=3&active=true").json()["runs"]] == [run]
    assert post(backend, f"/runs/{run}/cancel", reason="wrong data").json()["state"] == "cancelled"
    assert get(backend, "/runs?active=true").json()["runs"] == []
    assert post(backend, f"/runs/{run}/resume", reason="right data").json() == {"run": run}
    lines = get(backend, f"/runs/{run}/log").json()["events"]
    assert [each["text"] for each in lines] == [
        "new cases", "api: asked for over HTTP; covered by this run", "wrong data", "right data",
    ]  # fmt: skip


def test_what_cannot_be_done_says_why() -> None:
    backend = Backend()
    run = post(backend, "/projects/3/runs").json()["run"]
    for answer, status in (
        (get(backend, "/runs/no-such"), 422),
        (get(backend, "/runs/retrain-3-000000000000"), 404),
        (post(backend, f"/runs/{run}/resume", reason="x"), 409),
        (post(backend, f"/runs/{run}/cancel"), 422),
        (post(backend, "/projects/3/runs", recipe="best"), 422),
        (post(backend, "/projects/0/runs"), 422),
    ):
        assert answer.status_code == status, answer.text
        assert answer.json()["message"]


@pytest.mark.parametrize("cut", [1, 2, 5, 11])
def test_the_beginning_of_an_id_shows_ends_and_resumes_nothing(cut: int) -> None:
    backend = Backend()
    run = post(backend, "/projects/3/runs").json()["run"]
    for name in (run[:-cut], run.upper(), run[:-1] + "%25", run[:-1] + "_"):
        answers = [get(backend, f"/runs/{name}{more}") for more in ("", "/log", "/events")]
        answers += [post(backend, f"/runs/{name}/{what}", reason="x") for what in ("cancel", "resume")]
        assert {each.status_code for each in answers} <= {404, 422}, name
    assert get(backend, f"/runs/{run}").json()["state"] == "queued"


def test_a_run_that_the_queue_named_is_shown_too() -> None:
    """A job that came without a row, from an earlier release, gives the run its own id."""
    backend = Backend()
    runs = backend.services.site.runs.runs
    made = runs.request(4, recipe="demo", reason="x", trigger="button", run_id="train-4-0123456789ab").run
    assert get(backend, f"/runs/{made}").json()["id"] == made


@pytest.mark.parametrize("path", ["/runs", "/runs/a", "/runs/a/log", "/runs/a/events"])
def test_runs_are_shown_to_nobody_without_a_secret(path: str) -> None:
    assert Backend().client.get(path).status_code == 401


def test_a_run_is_followed_to_its_end_and_again_from_the_last_line_that_was_seen() -> None:
    backend = Backend()
    runs = backend.services.site.runs.runs
    run = post(backend, "/projects/3/runs").json()["run"]
    taken = claim(runs, run, owner=this_process())
    assert taken is not None
    ledger = RunLedger(runs.engine, taken)
    ledger.enter("building")
    ledger.beat("dataset", 0.1, "reading image 3 of 30")
    runs.cancel(run, reason="seen enough")
    answer = get(backend, f"/runs/{run}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    logs = [orjson.loads(block[2][6:]) for block in blocks if block[1] == "event: log"]
    assert [each["kind"] for each in logs] == ["state", "taken", "state", "log", "state"]
    (last,) = [orjson.loads(block[1][6:]) for block in blocks if block[0] == "event: run"]
    assert (last["state"], last["progress"], last["message"]) == ("cancelled", 0.1, "reading image 3 of 30")
    rest = get(backend, f"/runs/{run}/events", **{"Last-Event-ID": str(logs[-2]["id"])})
    assert rest.text.count("event: log") == 1


def test_a_run_of_a_project_that_label_studio_does_not_have_is_refused_and_not_recorded() -> None:
    backend = Backend(parts={"label_studio": FakeTasks()})
    refused = post(backend, "/projects/77/runs")
    assert refused.status_code == 404
    assert "unknown_project" in refused.text
    assert get(backend, "/runs").json()["runs"] == []
    assert post(backend, "/projects/7/runs").status_code == 202
