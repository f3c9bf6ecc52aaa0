from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.database import dataset_version, open_database, writing
from mammo.errors import InsufficientData
from mammo.runs import Runs
from tests.mammo.exchange.import_files import FakeTasks


@pytest.fixture
def site(tmp_path, redis_url, monkeypatch):
    """A site's database and broker, as the environment names them."""
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_MLSAM_DATABASE_URL", f"sqlite:///{tmp_path / 'site.db'}")
    monkeypatch.setenv("YOLO_MLSAM_REDIS_URL", redis_url)
    engine = open_database(f"sqlite:///{tmp_path / 'site.db'}")
    for project in (3, 7):
        add_dataset(engine, project, held_out=10)
    return Runs(engine)


def add_dataset(engine, project, *, held_out):
    """A dataset version with so many held-out patients."""
    facts = {"name": f"d{project}", "num_items": 20, "num_excluded": 0, "last_event": 0}
    with writing(engine) as connection:
        connection.execute(
            sa.insert(dataset_version).values(
                **facts, project=project, num_held_out=held_out, created_at=datetime.now(UTC)
            )
        )


def run(*arguments: str):
    return CliRunner().invoke(app, ["runs", *arguments])


def test_a_run_is_started_listed_cancelled_and_resumed_from_the_command_line(site):
    started = run("start", "--project", "3", "--recipe", "demo", "--reason", "new cases")
    assert started.exit_code == 0, started.output
    name = started.stdout.split(":")[0]
    assert "active already" in run("start", "--project", "3").output
    (listed,) = json.loads(run("list", "--json").output)
    assert (listed["id"], listed["trigger"], listed["state"]) == (name, "cli", "queued")
    assert "new cases" in run("list").output
    assert "cancelled at 0%" in run("cancel", name[:12]).output
    assert run("watch", name).exit_code == 1
    assert "queued" in run("resume", name).output
    assert "cli: new cases" in run("show", name).output
    assert run("log", name).output.count("\n") == 4


def test_a_provisional_model_is_asked_for_beside_a_retrain(site):
    run("start", "--project", "3", "--recipe", "demo")
    started = run("start", "--project", "3", "--provisional")
    assert started.stdout.startswith("provisional-3-")
    assert [each.recipe for each in site.newest()] == ["provisional", "demo"]
    refused = run("start", "--project", "3", "--provisional", "--recipe", "demo")
    assert refused.exit_code == 2


def test_a_curve_without_a_judged_run_says_what_to_do(site):
    assert "--provisional" in str(run("curve", "--project", "3").exception)


def test_every_provisional_recipe_is_known_to_the_runs():
    from mammo.runs.states import PROVISIONAL_RECIPES as NAMES
    from training.provisional.recipes import PROVISIONAL_RECIPES

    assert set(NAMES) == set(PROVISIONAL_RECIPES)


def test_an_unknown_recipe_or_run_is_named(site):
    wrong = run("start", "--project", "3", "--recipe", "best")
    assert wrong.exit_code == 2
    assert "not one of finetune, demo, smoke, paper" in " ".join(wrong.output.replace("│", " ").split())
    assert "no id begins with 'x'" in str(run("show", "x").exception)
    assert site.newest() == []


def test_every_recipe_of_a_retrain_can_be_named_in_the_settings():
    from typing import get_args

    from mammo.training_settings import RecipeName
    from training.retrain.recipes import RECIPES

    assert set(get_args(RecipeName)) == set(RECIPES)


def test_a_run_of_a_project_that_does_not_exist_is_refused_and_not_recorded(site, monkeypatch):
    monkeypatch.setattr("mammo.labelstudio.LabelStudioClient", lambda *_: FakeTasks())
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", "key")
    assert "has no project 77" in str(run("start", "--project", "77").exception)
    assert site.newest() == []
    assert run("start", "--project", "7").exit_code == 0


def test_a_run_that_cannot_succeed_is_refused_with_the_reason_of_http_and_not_recorded(site):
    refused = run("start", "--project", "4").exception
    assert isinstance(refused, InsufficientData)
    assert str(refused) == (
        "a run of project 4 cannot succeed: there is no correction yet; annotate some tasks first"
    )
    add_dataset(site.engine, 5, held_out=1)
    assert "needs 8 held-out patients with the recipe finetune" in str(
        run("start", "--project", "5").exception
    )
    assert site.newest() == []
    assert run("start", "--project", "5", "--provisional").exit_code == 0
