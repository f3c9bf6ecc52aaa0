"""Server time of the console's pages with years of corrections and hundreds of runs."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from starlette.testclient import TestClient

from backend.__main__ import SWITCH_SECONDS, freeze_garbage_collection, wire
from backend.app import create_app
from benchmarks.effort import CORRECTIONS, SECRET, TAGS, annotate, copy_efforts
from benchmarks.result import Result, milliseconds
from mammo.annotations import AnnotationStore
from mammo.audit import append
from mammo.database import run as run_table
from mammo.database import run_event, run_stage, writing
from mammo.efforts.effort_records import effort_records
from mammo.runs import Runs
from mammo.settings import Settings
from tests.backend.judged_runs import judged_run
from tests.sites import site_of

RUNS, EVENTS, ENTRIES, REPEATS = 500, 40, 2_000, 15
IMAGES = 120
"""Held-out images of the verdict, each with a lost lesion and a false alarm."""

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
HTML = {"Accept": "text/html"}
NEWEST = f"retrain-1-{RUNS - 1:012x}"


def run() -> Result:
    sys.setswitchinterval(SWITCH_SECONDS)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        settings = Settings.load(data_dir=Path(folder) / "data", webhook_secret=SECRET.decode())
        with site_of(settings, creates=True, tags=lambda _: TAGS) as site:
            fill(site.engine)
            version = site.registry.champion().version
            judged = judged_run(
                Runs(site.engine), site.blobs, champion=version, challenger=version, lost=IMAGES
            )
            services = replace(wire(site), insecure=True)
            freeze_garbage_collection()  # as when a model has been loaded
            app = create_app(services)
            app.state.renderer.compile()  # as at the start of the backend
            client = TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 1), headers=HTML)
            rows = [
                (path, *_measured(client, path.format(run=NEWEST, version=version, judged=judged)))
                for path in (
                    "/console",
                    "/console/runs",
                    "/console/runs?page=10",
                    "/console/runs/{run}",
                    "/console/runs/{judged}/verdict",
                    "/console/runs/{judged}/verdict/images/0",
                    "/console/models",
                    "/console/models/{version}",
                    "/console/projects/1/stage",
                    "/console/projects/1/shadow?second=previous",
                    "/console/notifications",
                    "/console/people?project=1&period=all",
                    "/console/look-again?project=1",
                    "/console/audit",
                    "/docs",
                    "/api/v1/projects",
                    "/api/v1/runs",
                )
            ]
    return Result(
        title="Pages of the console",
        method=(
            f"{CORRECTIONS} corrections, {RUNS} runs of {EVENTS} events, a verdict on "
            f"{IMAGES} images, {ENTRIES} entries of the audit trail, SQLite; "
            f"the application in this process, without network. First: the first request of the path; the counts of "
            f"the background begin with that of the first row. Then: median and slowest of {REPEATS}."
        ),
        columns=("page", "first", "median", "slowest"),
        rows=rows,
    )


def fill(engine: Engine) -> None:
    """Write corrections with their efforts, runs and the audit trail."""
    with closing(AnnotationStore(engine)) as store:
        annotate(engine, range(1, 2))
        effort_records(1, store=store, engine=engine, secret=SECRET, tags=TAGS)
    annotate(engine, range(2, CORRECTIONS + 1))
    copy_efforts(engine, range(2, CORRECTIONS + 1))
    outcome = orjson.dumps(
        {"reason": "the challenger is not better in enough draws", "dataset_version": "d1"}
    )
    with writing(engine) as connection:
        for number in range(RUNS):
            name, began = f"retrain-1-{number:012x}", BEGIN + timedelta(hours=number)
            row = {
                "id": name, "project": 1, "recipe": "finetune", "reason": "40 corrections", "trigger": "corrections",
                "state": "kept", "attempt": 1, "stalled": 0, "claimed_progress": 0.0, "progress": 1.0, "stage": "",
                "message": "", "created_at": began, "ended_at": began + timedelta(minutes=50),
            }  # fmt: skip
            connection.execute(sa.insert(run_table).values(row))
            stage = {"run": name, "stage": "outcome", "attempt": 1, "result": outcome, "at": began}
            connection.execute(sa.insert(run_stage).values(stage))
            lines = [
                {"run": name, "at": began + timedelta(minutes=n), "kind": "log", "text": f"detector {n}"}
                for n in range(EVENTS)
            ]
            connection.execute(sa.insert(run_event), lines)
        for number in range(ENTRIES):
            append(
                connection,
                actor="anna",
                action="run started",
                subject=f"run {number}",
                reason="enough corrections",
            )


def _measured(client: TestClient, path: str) -> tuple[str, str, str]:
    spent = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        answer = client.get(path)
        spent.append(time.perf_counter() - began)
        assert answer.status_code == 200, answer.text
    first, *others = spent
    others.sort()
    return milliseconds(first), milliseconds(others[len(others) // 2]), milliseconds(others[-1])
