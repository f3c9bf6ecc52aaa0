from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mammo.phantom
from benchmarks.paper.__main__ import app
from cli.__main__ import main
from cli.case_source import parse_seeds
from mammo.blobs import hash_file
from mammo.detector import add_facts, load_network
from mammo.errors import InvalidSettings
from tests.mammo.detector.checkpoints import save_official, stock_network


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    look = replace(mammo.phantom.vendor_a(), width=448, height=576)
    monkeypatch.setattr("mammo.phantom.vendor_a", lambda: look)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return int(end.value.code or 0)


@pytest.mark.slow
def test_a_detector_is_trained_on_phantoms_and_measured_on_others(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("YOLO_MLSAM_RUNTIME", "torch")
    work = tmp_path / "work"
    train = (
        "train",
        "detector",
        "--recipe",
        "smoke",
        "--phantoms",
        "1-2",
        "--out",
        tmp_path / "run",
        "--work",
        work,
    )
    assert run(*train) == 0
    weights = tmp_path / "run" / "detector.safetensors"
    assert load_network(weights)[1]["recipe"]["name"] == "smoke"
    assert str(weights) in capsys.readouterr().out

    own = ("--phantoms", "2-3", "--work", work, "--out", tmp_path / "own", "--weights", weights)
    assert run("evaluate", "detector", *own) == 0
    warning = json.loads((tmp_path / "own" / "detector.json").read_text())["facts"]["warning"]
    assert "trained on 1 of the 2 phantom patients (seeds 2 to 2)" in warning

    judge = ("evaluate", "detector", "--phantoms", "7-8", "--work", work, "--out", tmp_path / "report")
    assert run(*judge, "--weights", weights, "--threshold", "0.3") == 0
    content = json.loads((tmp_path / "report" / "detector.json").read_text())
    assert content["facts"]["data"] == "phantoms of vendor_a, seeds 7-8"
    assert "warning" not in content["facts"]
    assert content["figures"]["measured"]["threshold"] == 0.3
    assert content["facts"]["images"] == 8
    for point in (0.2, 0.35):  # the paper's, then its own
        assert run(*judge, "--weights", weights) == 0
        content = json.loads((tmp_path / "report" / "detector.json").read_text())
        assert content["figures"]["measured"]["threshold"] == point
        add_facts(weights, {"operating_point": {"threshold": 0.35}})
    table = ["detector", "--table", "2", *map(str, judge[2:]), "--weights", str(weights)]
    assert CliRunner().invoke(app, table).exit_code == 0
    assert "| 0.2 |" in (tmp_path / "report" / "detector-table-2.md").read_text()


@pytest.mark.slow
def test_a_detector_begins_with_public_weights_of_their_own_scale(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    official = save_official(stock_network("s"), tmp_path / "mine.pt")
    assert run("weights", "add", official, "--as", "yolov8s", "--sha256", hash_file(official)) == 0
    where = ("--out", tmp_path / "run", "--work", tmp_path / "work")
    assert (
        run("train", "detector", "--recipe", "smoke", "--phantoms", "1", "--public", "yolov8s", *where) == 0
    )
    network, facts = load_network(tmp_path / "run" / "detector.safetensors")
    assert network.spec.scale == "s"
    assert facts["transfer"]["copied"] == 349
    assert facts["public_weights"]["licence"] == "AGPL-3.0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "detector"], "give either --dataset NAME or --phantoms FIRST-LAST"),
        (["train", "detector", "--phantoms", "5-1"], "seeds are given as FIRST-LAST"),
        (["train", "detector", "--phantoms", "1-4", "--validation", "4-6"], "share patients"),
        (["train", "detector", "--phantoms", "1", "--recipe", "best"], "recipe 'best' is not one of paper"),
        (["train", "detector", "--phantoms", "1", "--vendor", "z"], "a phantom's vendor is one of a, b, c"),
        (["train", "detector", "--phantoms", "1", "--start", "m9999-x"], "holds no registry"),
        (["train", "detector", "--phantoms", "1", "--public", "yolov8s"], "`yolo-mlsam weights add yolov8s`"),
        (["train", "detector", "--phantoms", "1", "--public", "sam-b"], "belongs to the segmenter"),
        (["evaluate", "detector", "--dataset", "0" * 64], "there is no database"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_seeds_are_a_range_of_both_ends() -> None:
    assert parse_seeds("7000-7039") == range(7000, 7040)
    assert parse_seeds(" 5 ") == range(5, 6)
    with pytest.raises(InvalidSettings, match="FIRST-LAST"):
        parse_seeds("a-b")
