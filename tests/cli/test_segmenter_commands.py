from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cli.__main__ import main
from mammo.segmenter.weights import load_segmenter
from tests.cli.small_train import SMALL


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Small phantoms, and a work folder."""
    monkeypatch.setattr("mammo.phantom.vendor_a", lambda: SMALL)
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "work"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return int(end.value.code or 0)


@pytest.mark.slow
def test_a_segmenter_is_trained_on_phantoms_and_measured_on_others(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train = ("train", "segmenter", "--recipe", "smoke", "--phantoms", "1", "--out", out, "--work", small)
    assert run(*train, "--seed", "5") == 0
    weights = out / "segmenter.safetensors"
    facts = load_segmenter(weights)[1]
    assert (facts["recipe"], facts["seed"]) == ("segmenter_smoke", 5)
    assert str(weights) in capsys.readouterr().out

    own = ("--phantoms", "1-2", "--work", small, "--out", tmp_path / "own", "--weights", weights)
    assert run("evaluate", "segmenter", *own) == 0
    assert "trained on 1 of the 2 phantom patients" in (tmp_path / "own/segmenter.md").read_text()

    judge = ("evaluate", "segmenter", "--phantoms", "7-8", "--work", small, "--out", tmp_path / "report")
    assert run(*judge, "--weights", weights) == 0
    content = json.loads((tmp_path / "report/segmenter.json").read_text())
    assert "warning" not in content["facts"]
    assert content["facts"]["data"] == "phantoms of vendor_a, seeds 7-8"
    assert content["figures"]["mIoU"]["low"] <= content["figures"]["mIoU"]["value"]
    assert "presence AUC, cluster against background" in content["figures"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "segmenter"], "give either --dataset NAME or --phantoms FIRST-LAST"),
        (["train", "segmenter", "--phantoms", "1", "--recipe", "best"], "recipe 'best' is not one of paper"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    arguments: list[str], message: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--out", tmp_path / "out", "--work", small) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.slow
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
