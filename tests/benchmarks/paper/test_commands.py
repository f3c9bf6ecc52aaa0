from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import mammo.phantom
from benchmarks.paper.__main__ import app
from benchmarks.paper.runs import _detects
from mammo.detector import Detection, Detector
from mammo.detector.normalise import Pixels
from mammo.geometry import Spacing
from mammo.models import STARTER
from mammo.segmenter.network import new_network
from mammo.segmenter.weights import save_segmenter
from tests.training.segmenter_cases import case
from training.segmenter import recipes as segmenter_recipes
from training.segmenter.recipes import segmenter_row, segmenter_smoke


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Small phantoms, small networks, and a work folder."""
    look = replace(mammo.phantom.vendor_a(), width=448, height=576)
    monkeypatch.setattr("mammo.phantom.vendor_a", lambda: look)
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    row = replace(segmenter_row(), steps=2, warm_up=1, batch=2, views=1, num_points=64)
    monkeypatch.setitem(segmenter_recipes.SEGMENTER_RECIPES, "row", lambda: row)
    return tmp_path / "work"


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def run(*arguments: object) -> int:
    return ask(*arguments).exit_code


def plain_sam(path: Path) -> Path:
    config = replace(segmenter_smoke().config, hq_token=False, combine="sam", presence=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_segmenter(path, new_network(config, seed=3), facts={})
    return path


@pytest.mark.slow
def test_tables_3_and_5_come_as_markdown_and_json(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plain_sam(tmp_path / "sam.safetensors")
    out = tmp_path / "report"
    table = ("segmenter", "--table", "3", "--phantoms", "7-8", "--train", "1-2", "--seeds", "1")
    assert run(*table, "--start", start, "--out", out, "--work", small) == 0
    text = (out / "segmenter-table-3.md").read_text()
    assert "| MLSAM | 81.12 | 71.89 |" in text
    assert "phantoms of vendor_a, seeds 1-2" in text
    assert set(json.loads((out / "segmenter-table-3.json").read_text())["figures"]) >= {"HQ-SAM", "M4"}

    monkeypatch.setattr("benchmarks.paper.runs._detects", lambda weights, threshold: lambda mammogram: [])
    cross = ("crossval", "--phantoms", "1-3", "--folds", "2", "--start", start)
    assert run(*cross, "--out", out, "--work", small, "--detector", "starter") == 0
    assert "| Yolo-MLSAM | 87.46 / 13.44 / 88.33 / 86.78 |" in (out / "segmenter-table-5.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segmenter", "--phantoms", "1", "--table", "3"], "give --start FILE"),
        (["segmenter", "--phantoms", "1", "--table", "4", "--start", "b=no"], "no such file"),
        (["detector", "--phantoms", "1000-1001", "--table", "1"], "need patients of their own"),
        (
            ["detector", "--phantoms", "7", "--table", "1", "--recipe", "smoke"],
            "Table 1 trains from scratch: paper, starter, table; got 'smoke'",
        ),
        (["detector", "--phantoms", "7", "--table", "1", "--weights", __file__], "leave --weights out"),
        (["detector", "--phantoms", "7", "--table", "2", "--threshold", "0.3"], "No such option"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    arguments: list[str], message: str, small: Path, tmp_path: Path
) -> None:
    refused = ask(*arguments, "--out", tmp_path / "out", "--work", small)
    assert refused.exit_code in (1, 2)
    assert message in " ".join(refused.stderr.replace("│", " ").split())
    assert "Traceback" not in refused.stderr


def test_the_boxes_of_table_5_are_looked_for_in_pixels_of_the_size_that_they_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def detect(
        self: Detector, pixels: Pixels, *, threshold: float, spacing: Spacing | None
    ) -> list[Detection]:
        asked.append((threshold, spacing))
        return []

    monkeypatch.setattr(Detector, "detect", detect)
    film = replace(case(1).read(), spacing=Spacing(0.2, 0.1, "given"))
    _detects(STARTER / "detector.safetensors", 0.3)(film)
    assert asked == [(0.3, Spacing(0.2, 0.1, "given"))]
