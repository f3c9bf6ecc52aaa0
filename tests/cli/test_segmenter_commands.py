from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mammo.phantom
from cli.__main__ import main
from cli.segmenter_evaluation import _detects
from mammo.detector import Detection, Detector
from mammo.detector.normalise import Pixels
from mammo.geometry import Spacing
from mammo.models import STARTER
from mammo.segmenter.network import new_network
from mammo.segmenter.weights import load_segmenter, save_segmenter
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


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return int(end.value.code or 0)


def plain_sam(path: Path) -> Path:
    config = replace(segmenter_smoke().config, hq_token=False, combine="sam", presence=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_segmenter(path, new_network(config, seed=3), facts={})
    return path


def test_a_segmenter_is_trained_on_phantoms_and_measured_on_others(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train = ("train", "segmenter", "--recipe", "smoke", "--phantoms", "1-2", "--out", out, "--work", small)
    assert run(*train, "--seed", "5") == 0
    weights = out / "segmenter.safetensors"
    facts = load_segmenter(weights)[1]
    assert (facts["recipe"], facts["seed"]) == ("segmenter_smoke", 5)
    assert str(weights) in capsys.readouterr().out

    own = ("--phantoms", "1-2", "--work", small, "--out", tmp_path / "own", "--weights", weights)
    assert run("evaluate", "segmenter", *own) == 0
    assert "trained on 2 of the 2 phantom patients" in (tmp_path / "own/segmenter.md").read_text()

    judge = ("evaluate", "segmenter", "--phantoms", "7-8", "--work", small, "--out", tmp_path / "report")
    assert run(*judge, "--weights", weights) == 0
    content = json.loads((tmp_path / "report/segmenter.json").read_text())
    assert "warning" not in content["facts"]
    assert content["facts"]["data"] == "phantoms of vendor_a, seeds 7-8"
    assert content["figures"]["mIoU"]["low"] <= content["figures"]["mIoU"]["value"]
    assert "presence AUC, cluster against background" in content["figures"]


def test_tables_3_and_5_come_as_markdown_and_json(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plain_sam(tmp_path / "sam.safetensors")
    out = tmp_path / "report"
    table = ("evaluate", "segmenter", "--table", "3", "--phantoms", "7-8", "--train", "1-2", "--seeds", "1")
    assert run(*table, "--start", start, "--out", out, "--work", small) == 0
    text = (out / "segmenter-table-3.md").read_text()
    assert "| MLSAM | 81.12 | 71.89 |" in text
    assert "phantoms of vendor_a, seeds 1-2" in text
    assert set(json.loads((out / "segmenter-table-3.json").read_text())["figures"]) >= {"HQ-SAM", "M4"}

    monkeypatch.setattr("cli.segmenter_evaluation._detects", lambda weights, threshold: lambda mammogram: [])
    cross = ("crossval", "--table", "5", "--phantoms", "1-3", "--folds", "2", "--start", start)
    assert run(*cross, "--out", out, "--work", small, "--detector", "starter") == 0
    assert "| Yolo-MLSAM | 87.46 / 13.44 / 88.33 / 86.78 |" in (out / "segmenter-table-5.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "segmenter"], "give either --dataset NAME or --phantoms FIRST-LAST"),
        (["train", "segmenter", "--phantoms", "1", "--recipe", "best"], "recipe 'best' is not one of paper"),
        (["evaluate", "segmenter", "--phantoms", "1", "--table", "3"], "give --start FILE"),
        (["evaluate", "segmenter", "--phantoms", "1", "--table", "4", "--start", "b=no"], "no such file"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    arguments: list[str], message: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--out", tmp_path / "out", "--work", small) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_processes_that_torchrun_starts_train_the_weights_of_one(small: Path, tmp_path: Path) -> None:
    train = [
        "train",
        "segmenter",
        "--recipe",
        "smoke",
        "--phantoms",
        "1",
        "--validation",
        "2",
        "--work",
        small,
    ]
    assert run(*train, "--out", tmp_path / "alone") == 0
    launched = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *("-m", "tests.cli.small_train", *map(str, train), "--out", str(tmp_path / "shared")),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr[-2000:]
    (one, facts), (two, others) = (
        load_segmenter(tmp_path / name / "segmenter.safetensors") for name in ("alone", "shared")
    )
    assert facts["run"] == others["run"]
    assert others["validation"]["box"] == pytest.approx(facts["validation"]["box"], abs=0.02)
    theirs = two.state_dict()
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(theirs[name], tensor, atol=2e-3, rtol=2e-3, msg=name)


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
