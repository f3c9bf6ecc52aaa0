from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.__main__ import main
from tests.mammo.exchange.export.test_prelabels import prelabelled


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["export", *words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_prelabels_become_files_and_the_exit_code_tells_of_refusals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prelabelled(tmp_path, "good")
    (tmp_path / "bad.json").write_text("{}")
    out = tmp_path / "out"
    assert run(str(tmp_path), "--format", "coco", "--out", str(out)) == 2
    assert len(json.loads((out / "coco.json").read_bytes())["annotations"]) == 2
    output = capsys.readouterr()
    assert "1 images with 2 findings as coco" in output.out
    assert "bad.json" in output.err
    assert run(str(tmp_path / "good.json"), "--format", "yolo", "--out", str(out)) == 0
    assert (out / "labels" / "good.txt").is_file()


def test_findings_that_the_prelabels_do_not_show_are_said_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prelabelled(tmp_path, "whole")
    assert run(str(tmp_path), "--format", "coco", "--out", str(tmp_path / "out")) == 0
    assert "missing" not in capsys.readouterr().out
    prelabelled(tmp_path, "cut", num_cut=3)
    assert run(str(tmp_path), "--format", "coco", "--out", str(tmp_path / "out")) == 0
    assert "2 images with 4 findings as coco" in (printed := capsys.readouterr().out)
    assert "3 findings are missing, which the prelabels do not show" in printed
    images = json.loads((tmp_path / "out" / "coco.json").read_bytes())["images"]
    assert {image["file_name"]: image.get("num_cut") for image in images} == {"whole.dcm": None, "cut.dcm": 3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "nifti"), "expected a --format"),
        ((), "name either files of"),
        (("x.json", "--project", "3"), "name either files of"),
        (("--project", "3"), "YOLO_MLSAM_LABEL_STUDIO_URL"),
    ],
)
def test_a_senseless_call_says_what_is_missing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.delenv("YOLO_MLSAM_LABEL_STUDIO_URL", raising=False)
    assert run(*words, "--out", str(tmp_path / "out")) == 1
    assert message in capsys.readouterr().err
