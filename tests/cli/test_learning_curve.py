"""`yolo-mlsam runs curve`: what was kept is printed with its intervals, and what is missing is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.errors import InsufficientData
from mammo.site import Site


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["runs", "curve", *arguments], env={"COLUMNS": "200"})


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    with Site.load(creates=True) as site:
        assert site.learning_curves.newest(3) is None


def figure(value: float | None, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def kept(*, law: bool) -> dict[str, Any]:
    """A curve as `--compute` keeps it."""
    points = [
        {"patients": number, "source": f"run {number}", **figure(score, score - 0.1, score + 0.1)}
        for number, score in ((5, 0.5), (10, 0.625))
    ]
    found = {
        "exponent": figure(0.5, 0.25, None),
        "asymptote": figure(0.875, 0.75, 1.0),
        "forecast": [{"patients": 20, **figure(0.75, 0.625, 0.875)}],
    }
    return {
        "measure": "Dice and sensitivity",
        "held_out": 8,
        "method": "each point is a training of its own",
        "points": points,
        "law": found if law else None,
        "missing": None,
        "sentence": "some 14 more patients until the gate could tell a gain of 0.05",
    }


def keep(content: dict[str, Any]) -> None:
    with Site.load() as site:
        site.learning_curves.append(3, content, run="")


def test_a_project_without_a_judged_run_is_told_which_run_to_start() -> None:
    error = call("--project", "3").exception
    assert isinstance(error, InsufficientData)
    assert "runs start --project 3 --provisional" in str(error)


def test_points_law_forecast_and_sentence_are_printed_with_their_intervals() -> None:
    keep(kept(law=True))
    printed = call("--project", "3")
    assert printed.exit_code == 0, printed.exception
    assert printed.output.splitlines() == [
        "score: Dice and sensitivity, on 8 held-out patients; 80 % intervals in brackets",
        "each point is a training of its own",
        "      5 patients  0.500 (0.400 to 0.600)  run 5",
        "     10 patients  0.625 (0.525 to 0.725)  run 10",
        "power law: exponent 0.500 (0.250 to -), with any number of patients 0.875 (0.750 to 1.000)",
        "     20 patients  0.750 (0.625 to 0.875)  forecast",
        "some 14 more patients until the gate could tell a gain of 0.05",
    ]
    assert json.loads(call("--project", "3", "--json").output)["points"] == kept(law=True)["points"]


def test_two_points_make_no_law_and_that_is_said() -> None:
    keep(kept(law=False))
    printed = call("--project", "3").output
    assert "too few points for a power law" in printed
    assert "forecast" not in printed


def test_without_a_dataset_version_nothing_is_measured_and_the_command_that_makes_one_is_named() -> None:
    error = call("--project", "3", "--compute").exception
    assert isinstance(error, InsufficientData)
    assert "dataset build --project 3" in str(error)
