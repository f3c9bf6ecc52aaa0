"""`yolo-mlsam readers`: the figures are printed under pseudonyms, and cases with known truth are named and counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.efforts.effort_records import annotator_pseudonym
from mammo.site import Site
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.corrected import CONFIG, SECRET, correct, show
from tests.training.detections import square

FIRST, SECOND = square(20, 20, name="c1"), square(200, 20, name="c2")
NAME = "Ada Lovelace"


@pytest.fixture(autouse=True)
def two_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", SECRET.decode())
    server = FakeLabelStudio()
    server.projects[1] = {"id": 1, "label_config": CONFIG, "task_number": 40, "finished_task_number": 3}
    first, _, last = NAME.partition(" ")
    server.users = [{"id": 7, "first_name": first, "last_name": last, "email": "a@b.example"}]
    with served(server) as url:
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", url)
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", KEY)
        with Site.load(creates=True) as site:
            for task in (5, 6):
                show(site.store, FIRST, SECOND, task=task)
            correct(site.store, FIRST, SECOND, task=5, annotation=1, user=7, seconds=36.0)
            correct(site.store, FIRST, task=5, annotation=2, user=8, seconds=30.0)
            correct(site.store, FIRST, task=6, annotation=3, user=7, seconds=30.0)
            correct(site.store, FIRST, task=6, annotation=4, user=8, seconds=30.0)
        yield


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["readers", *arguments], env={"COLUMNS": "200"})


def test_readers_are_pseudonyms_unless_names_are_asked_for() -> None:
    printed = call("show", "--project", "1")
    assert printed.exit_code == 0, printed.exception
    rows = [line for line in printed.output.splitlines() if annotator_pseudonym(7, secret=SECRET) in line]
    figures = [cell.strip() for cell in rows[0].split("│")[1:-1]]
    assert figures[1:8] == ["2", "0.0", "33", "3", "0", "0", "1"]
    assert "agreed on 1 of 2 images; kappa" in printed.output
    assert "37 of 40 tasks are left" in printed.output
    assert "known cases" not in printed.output
    assert NAME not in printed.output
    assert NAME in call("show", "--project", "1", "--names").output


def test_a_period_and_json() -> None:
    listed = json.loads(call("show", "--project", "1", "--json").output)
    assert {each["images"] for each in listed["readers"]} == {2}
    long_ago = call("show", "--project", "1", "--json", "--since", "2001-01-01", "--until", "2001-01-02")
    assert json.loads(long_ago.output)["readers"] == []


def test_a_task_whose_truth_is_known_is_counted_as_a_hit_or_a_miss() -> None:
    with Site.load() as site:
        correct(site.store, FIRST, SECOND, task=90, annotation=9, user=1)
    named = call("name-case", "--project", "1", "--task", "5", "--truth", "9")
    assert named.exit_code == 0, named.exception
    assert "project 1: 1 known cases" in named.output
    shown = call("show", "--project", "1").output
    assert "known cases" in shown
    cases = {
        each["reader"]: each
        for each in json.loads(call("show", "--project", "1", "--json").output)["readers"]
    }
    first, second = (cases[annotator_pseudonym(user, secret=SECRET)] for user in (7, 8))
    assert (first["hits"], first["misses"]) == (2, 0)
    assert (second["hits"], second["misses"]) == (1, 1)


def test_an_annotation_that_does_not_exist_names_no_case() -> None:
    refused = call("name-case", "--project", "1", "--task", "5", "--truth", "77")
    assert refused.exit_code != 0
    assert "77" in str(refused.exception)
