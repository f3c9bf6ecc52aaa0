from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from cli.image_evaluation import MAX_WARNINGS, Written
from mammo.exchange.export.labelled_image import Refusal
from mammo.models import STARTER
from tests.training.image_files import write_coco_positives, write_mias_positives, write_normals


@pytest.fixture(autouse=True)
def installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No registry; torch, which needs no export of the network."""
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("YOLO_MLSAM_RUNTIME", "torch")
    monkeypatch.chdir(tmp_path)


def evaluate(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "images", *(str(each) for each in arguments), "--out", "report"])
    return int(end.value.code or 0)


def content() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path("report/images.json").read_text())
    return document


def test_models_and_baseline_are_measured_on_normals_and_positives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_coco_positives(Path("positives"), 1, 2)
    write_normals(Path("normals"), 3, 4)
    source = ("--normals", "normals", "--positives", "positives", "--spacing", 0.07)
    assert evaluate(*source, "--model", "starter", "--weights", STARTER / "detector.safetensors") == 0
    names = ["starter/detector.safetensors", "baseline (difference of Gaussians)"]
    starter, *others = content()["figures"]["detectors"]
    assert starter.startswith("starter-")
    assert others == names
    figures = content()["figures"]["detectors"]
    # The same network, once at the version's operating point and once at the file's own.
    assert figures[starter]["froc"] == figures[names[0]]["froc"]
    assert figures[starter]["num_lesions"] == figures[names[1]]["num_lesions"] == 2
    assert figures[starter]["froc"]["4.0"]["value"] > 0
    assert content()["facts"]["normal images"] == 2
    paths = [Path(line).name for line in capsys.readouterr().out.split()]
    assert paths == [
        "images.md", "images.json", "images.froc.png", f"images.{starter}.png",
        "images.starter_detector.safetensors.png", "images.baseline_difference_of_Gaussians.png",
    ]  # fmt: skip
    assert all((Path("report") / path).stat().st_size > 0 for path in paths)
    assert not Path("data").exists()  # a command that reads changes nothing


def test_mini_mias_needs_no_spacing_and_what_is_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    write_mias_positives(Path("mias"), 1, 3, more="mdb212 G CALC B *NOTE 3*\nmdb214 G CALC B *NOTE 3*\n")
    assert evaluate("--positives", "mias/Info.txt", "--patients", "mias") == 2
    error = capsys.readouterr().err
    assert "left out: Info.txt, line 3 and 1 more: the position of its calcifications is missing" in error
    assert content()["facts"]["patients"] == 2
    assert "Left out" in Path("report/images.md").read_text()


def test_normals_alone_give_false_positives_per_clean_image() -> None:
    write_normals(Path("normals"), 3)
    assert evaluate("--normals", "normals", "--spacing", 0.07, "--no-baseline") == 0
    ((_, figures),) = content()["figures"]["detectors"].items()
    assert figures["false_positives"]["value"] >= 0
    assert figures["sensitivity"]["value"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --normals FOLDER, --positives FILE-OR-FOLDER or both"),
        (("--normals", "normals"), "1 images state no pixel spacing"),
        (("--normals", "normals", "--spacing", 0.07, "--patients", "mias"), "names like mdb209.pgm"),
        (("--normals", "normals", "--spacing", 0.07, "--model", "m0007-x"), "holds no registry"),
        (("--normals", "normals", "--model", "starter", "--model", "starter"), "is given twice"),
        (("--positives", "normals", "--spacing", 0.07), "expected one of annotations.json and Info.txt"),
    ],
)
def test_a_wrong_call_is_one_sentence_before_anything_is_measured(
    arguments: tuple[object, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_normals(Path("normals"), 3)
    assert evaluate(*arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not Path("report").exists()


def test_a_long_list_of_reasons_is_cut_on_the_terminal() -> None:
    refusals = tuple(Refusal(f"{number}.png", f"reason {number}") for number in range(MAX_WARNINGS + 3))
    lines = Written(paths=[], left_out=refusals).warnings()
    assert len(lines) == MAX_WARNINGS + 1
    assert lines[-1] == "left out for 3 more reasons: see images.md"
