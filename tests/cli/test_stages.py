import json

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.errors import LabelStudioError, StageRefused
from mammo.site import Site
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.corrected import CONFIG


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", "the tests")
    fake = FakeLabelStudio()
    fake.projects[4] = {"id": 4, "label_config": CONFIG, "model_version": ""}
    with served(fake) as url:
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", url)
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", KEY)
        with Site.load(creates=True) as site:
            site.registry.champion()
        yield


def run(*arguments):
    return CliRunner().invoke(app, ["stage", *arguments], env={"COLUMNS": "200"})


def test_a_stage_is_shown_with_its_rules_and_its_log():
    printed = run("show", "4")
    assert printed.exit_code == 0, printed.exception
    for words in (
        "project 4: semi-automatic",
        "stays semi-automatic",
        "control images (blind tasks)",
        "audit log",
    ):
        assert words in printed.output


def test_a_change_is_made_with_a_reason_and_is_in_the_log():
    assert "semi-automatic -> assisted" in run("set", "4", "assisted", "--reason", "new scanner").output
    report = json.loads(run("show", "4", "--json").output)
    assert report["stage"] == "assisted"
    (row,) = report["history"]
    assert row["reason"] == "new scanner"
    assert "@" in row["actor"]
    assert run("set", "4", "assisted").exit_code == 2, "no reason"


def test_a_proposal_changes_nothing_and_says_by_its_exit_code_whether_there_is_one():
    printed = run("propose", "4")
    assert printed.exit_code == 0
    assert "reviewed prelabels" in printed.output
    assert json.loads(run("propose", "4", "--json").output)["stage"] == "semi-automatic"
    assert json.loads(run("show", "4", "--json").output)["history"] == []


def test_what_is_not_proven_is_refused():
    result = run("set", "4", "automatic", "--reason", "I am sure")
    assert isinstance(result.exception, StageRefused)
    assert "needed at least 50" in str(result.exception)


def test_while_label_studio_is_away_the_stage_is_shown_and_nothing_is_proposed(monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", "http://127.0.0.1:9")
    assert "check that it is running" in " ".join(run("show", "4").output.split())
    proposed = run("propose", "4")
    assert proposed.exit_code == 1
    assert isinstance(proposed.exception, LabelStudioError)
    assert "semi-automatic -> assisted" in run("set", "4", "assisted", "--reason", "new scanner").output
    assert "cannot be read, so neither can its annotations" in " ".join(run("show", "4").output.split())
