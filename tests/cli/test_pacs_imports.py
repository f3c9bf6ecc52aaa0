"""Imports of the console are listed and stopped in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from mammo.errors import ImportConflict
from mammo.pacs import Query
from mammo.pacs.import_order import ImportOrder
from mammo.runs.jobs import import_job
from mammo.site import Site

ORDER = ImportOrder(query=Query(patient="PID-4711"), priors=False, limit=100)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[Site]:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", "a secret of the site")
    monkeypatch.setenv("YOLO_MLSAM_REDIS_URL", redis_url)
    with Site.load(creates=True) as site:
        assert site.engine
        yield site


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "250"})


def test_an_import_is_listed_without_a_patient_stopped_once_and_continued(site: Site) -> None:
    assert "nothing was imported" in call("pacs", "imports").output
    ended, waiting = (site.pacs_imports.add(ORDER, project=7, actor="ann") for _ in range(2))
    site.pacs_imports.ended(ended, outcome={"images_new": 4, "tasks_new": 1}, problem="the PACS is away")
    listed = call("pacs", "imports").output
    assert "failed, 4 images came, 1 new tasks: the PACS is away" in listed
    assert "4711" not in listed
    assert call("pacs", "stop", str(waiting)).output.strip() == f"import {waiting} is stopped"
    rows = json.loads(call("pacs", "imports", "--project", "7", "--json").output)
    assert [(row["id"], row["state"]) for row in rows] == [(waiting, "stopped"), (ended, "failed")]
    assert isinstance(call("pacs", "stop", str(waiting)).exception, ImportConflict)
    assert f"import {waiting} waits" in call("pacs", "continue", str(waiting)).output
    assert site.queue.status(import_job(waiting)).state == "queued"
    assert isinstance(call("pacs", "continue", str(ended)).exception, ImportConflict), "one at a time"
    assert site.pacs_imports.get(ended).state == "failed", "as it was"
    call("pacs", "stop", str(waiting))
    assert site.queue.status(import_job(waiting)).state == "unknown", "its job is gone"
