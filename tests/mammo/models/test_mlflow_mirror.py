"""The real MLflow client writes to a database of its own; what stands there is read from its tables."""

import json
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
import structlog

from mammo.database import open_database
from mammo.errors import MirrorUnavailable
from mammo.models import ModelRegistry, mlflow_mirror
from mammo.models.mlflow_mirror import ISOLATED, Mirrored, entry, mirror, mirror_if_wanted
from mammo.settings import Settings
from tests.mammo.models.versions import register

VERDICT = {
    "promote": True,
    "champion": {"version": "m1", "primary": 0.6, "dice": None},
    "challenger": {"version": "m2", "primary": 0.7, "dice": 0.8125, "sensitivity_0.5": 0.9},
    "difference": 0.1,
    "interval": [0.02, 0.18],
    "confidence": 0.97,
    "num_patients": 12,
    "rule": {"draws": 2000},
    "seed": 0,
    "newest": None,
}


def settings(uri):
    return Settings(mlflow_uri=uri, mlflow_experiment="our clinic")


def judged(registry, tmp_path, name, **manifest):
    version = register(registry, tmp_path, name, **manifest)
    registry.note(version, "verdict", {"promoted": True, "reason": "promoted m2 over m1", "verdict": VERDICT})
    return version


@pytest.fixture
def registry(tmp_path):
    """On SQLite alone: which database the registry is in makes no difference to what is mirrored of it."""
    return ModelRegistry(open_database(f"sqlite:///{tmp_path / 'registry.db'}"), tmp_path / "blobs")


@pytest.fixture
def silent_server():
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://reader:hunter2@127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://reader:hunter2@127.0.0.1:{port}"


@pytest.mark.slow
def test_versions_are_runs_of_mlflow_that_follow_the_aliases_and_mirroring_twice_changes_nothing(
    registry, tmp_path
):
    told = settings(f"sqlite:///{tmp_path}/mlflow.db")
    first = register(registry, tmp_path, "a", recipe="demo", evaluation={"dice": 0.5, "seeds": [1, 2]})
    second = judged(
        registry, tmp_path, "b", parent=first, dataset_version="d1", operating_point={"rate": 0.5}
    )
    registry.promote(first, expected_epoch=0, reason="it is the first")
    assert mirror(registry, told, seconds=300) == Mirrored(created=2, changed=0, unchanged=0)
    before = tables(tmp_path)
    assert mirror(registry, told, seconds=300) == Mirrored(created=0, changed=0, unchanged=2)
    assert tables(tmp_path) == before

    registry.promote(second, expected_epoch=1, reason="better")
    third = register(registry, tmp_path, "c")
    assert mirror(registry, told, seconds=300) == Mirrored(created=1, changed=2, unchanged=0)
    (runs, params, metrics, tags) = tables(tmp_path)
    assert [(name, status) for _, name, status in runs] == [
        (each, "FINISHED") for each in sorted((first, second, third))
    ]
    assert (params[second, "parent"], params[second, "dataset_version"]) == (first, "d1")
    assert (params[second, "threshold"], params[second, "operating_point.rate"]) == ("0.2", "0.5")
    assert params[first, "detector.sha256"] == registry.manifest(first)["detector"]["sha256"]
    assert metrics[first, "evaluation.dice"] == [0.5]
    assert metrics[second, "verdict.challenger.dice"] == [0.8125]
    assert metrics[second, "verdict.interval.low"] == [0.02]
    assert tags[first, "yolo_mlsam.aliases"] == "previous"
    assert tags[second, "yolo_mlsam.aliases"] == "champion"
    assert tags[first, "yolo_mlsam.move.champion.1"].startswith("promote 20")
    assert tags[second, "yolo_mlsam.move.champion.2"].startswith("promote 20")
    assert tags[second, "yolo_mlsam.verdict"] == "promoted"
    assert not list(tmp_path.rglob("mlruns"))


def tables(tmp_path):
    """All runs (experiment, name, status), parameters, every value of every metric, and tags, by version."""
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        ask = database.execute
        runs = ask(
            "SELECT experiments.name, runs.name, status FROM runs JOIN experiments USING (experiment_id) "
            "WHERE runs.lifecycle_stage = 'active' ORDER BY runs.name"
        ).fetchall()
        params, tags = (
            {
                (name, key): value
                for name, key, value in ask(
                    f"SELECT name, key, value FROM {table} JOIN runs USING (run_uuid)"
                )
            }
            for table in ("params", "tags")
        )
        metrics = {}
        for name, key, value in ask(
            "SELECT name, key, value FROM metrics JOIN runs USING (run_uuid) ORDER BY step"
        ):
            metrics.setdefault((name, key), []).append(value)
    assert {experiment for experiment, _, _ in runs} <= {"our clinic"}
    return runs, params, metrics, tags


def test_nothing_that_a_person_typed_goes_to_mlflow(registry, tmp_path):
    version = judged(registry, tmp_path, "a", reason="for Mrs Miller", comment="Mrs Miller again")
    registry.promote(version, expected_epoch=0, reason="Mrs Miller likes it", actor="miller@desk")
    told = json.dumps(entry(registry, version, registry.history(None)))
    assert "iller" not in told
    assert "verdict.confidence" in told
    assert "verdict.rule" not in told


def test_without_a_server_in_the_settings_nothing_is_started(registry, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    assert mirror_if_wanted(Settings(), registry) is None


def test_a_server_that_is_away_is_a_warning_with_a_remedy_and_without_the_password(
    registry, tmp_path, nobody
):
    register(registry, tmp_path, "a")
    begin = time.monotonic()
    with structlog.testing.capture_logs() as logs:
        assert mirror_if_wanted(settings(nobody), registry) is None
    assert time.monotonic() - begin < mlflow_mirror.SECONDS
    (warning,) = logs
    assert (warning["log_level"], warning["code"]) == ("warning", "mlflow_away")
    assert "models mirror" in warning["error"]
    assert "hunter2" not in str(warning)


def test_a_server_that_never_answers_is_left_in_time(registry, silent_server):
    begin = time.monotonic()
    with pytest.raises(MirrorUnavailable) as failure:
        mirror(registry, settings(silent_server), seconds=1)
    assert failure.value.code == "mlflow_slow"
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(
    "uri", ["mlflow:5000", "file:///tmp/x", "sqlite:///mlflow.db", "databricks", "http://", "http://a:b:c"]
)
def test_an_address_that_is_none_is_said_so(registry, uri):
    with pytest.raises(MirrorUnavailable, match="YOLO_MLSAM_MLFLOW_URI must be") as failure:
        mirror(registry, settings(uri), seconds=60)
    assert failure.value.code == "mlflow_address"


def test_a_missing_package_is_said_so(registry, nobody):
    with pytest.raises(MirrorUnavailable, match="extra `mlflow`") as failure:
        mirror(registry, settings(nobody), seconds=60, python=(*ISOLATED, "-S"))
    assert failure.value.code == "mlflow_not_installed"


def test_a_process_that_dies_is_said_so(registry, nobody):
    with pytest.raises(MirrorUnavailable) as failure:
        mirror(registry, settings(nobody), seconds=60, python=(sys.executable, "-c", "raise SystemExit(3)"))
    assert failure.value.code == "mlflow_broken"


def test_a_failure_that_nobody_foresaw_fails_nothing(nobody):
    with structlog.testing.capture_logs() as logs:
        assert mirror_if_wanted(settings(nobody), registry=None) is None
    assert [each["code"] for each in logs] == ["unforeseen"]
