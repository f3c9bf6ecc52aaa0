from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from cli.deidentify import deidentify_command
from mammo.deidentification.files import FLAGGED, REPORT, deidentify_files
from mammo.errors import InvalidSettings
from tests.mammo.dicom.patient_files import PLANTED, patient_file
from tests.mammo.dicom.pictures import breast_picture, with_text

KEY = "a key of at least 16 bytes"


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four views whose paths name the patient as well."""
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", KEY)
    folder = tmp_path / "archive" / f"{PLANTED['name']}_{PLANTED['first name']}_{PLANTED['id']}"
    folder.mkdir(parents=True)
    for number in range(1, 5):
        (folder / f"{PLANTED['name']}{number}.dcm").write_bytes(patient_file(instance=number))
    return tmp_path / "archive"


def everything_written(out: Path) -> str:
    files = list(out.rglob("*"))
    assert files
    return "".join(
        str(path.relative_to(out)) + (path.read_bytes().decode("latin-1") if path.is_file() else "")
        for path in files
    )


def test_nothing_written_or_printed_names_the_patient(
    inputs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:  # fmt: skip
    folder = next(inputs.iterdir())
    over = with_text(breast_picture(), "DOE^JANE", (60, 420))
    (folder / f"{PLANTED['name']}5.dcm").write_bytes(patient_file(over, instance=5))
    (folder / f"{PLANTED['name']}6.dcm").write_bytes(patient_file(instance=6)[:5000])
    caplog.set_level(0)
    assert deidentify_command([inputs], out=tmp_path / "out") == 2
    output = capfd.readouterr()
    assert "5 files written, 1 of them to needs-a-human, 1 refused" in output.out
    assert "file 6, in order of name: truncated" in output.err
    texts = [everything_written(tmp_path / "out"), output.out, output.err, caplog.text, *map(str, recwarn)]
    everything = "\n".join(texts).lower()
    assert [name for name, value in PLANTED.items() if value.lower() in everything] == []
    assert KEY.lower() not in everything


def test_names_come_from_the_new_uids_and_the_report_lists_them(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert deidentify_command([inputs], out=out) == 0
    report = json.loads((out / REPORT).read_text())
    names = sorted(path.name for path in out.glob("*.dcm"))
    assert len(names) == 4
    assert all(name.startswith("2.25.") for name in names)
    assert report == {"written": names, "flagged": {}, "blanked_pixels": 0, "refused": 0}


def test_a_picture_with_text_over_the_breast_is_put_aside_for_a_person(inputs: Path, tmp_path: Path) -> None:
    over = with_text(breast_picture(), "DOE^JANE", (60, 420))
    (next(inputs.iterdir()) / "a.dcm").write_bytes(patient_file(over, instance=5))
    assert deidentify_command([inputs], out=tmp_path / "out") == 2
    (flagged,) = (tmp_path / "out" / FLAGGED).glob("*.dcm")
    assert json.loads((tmp_path / "out" / REPORT).read_text())["flagged"] == {
        f"{FLAGGED}/{flagged.name}": "text"
    }
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 4


def test_a_second_run_writes_the_same_files(inputs: Path, tmp_path: Path) -> None:
    files = sorted(inputs.rglob("*.dcm"))
    first = deidentify_files(files, out=tmp_path / "out", key=KEY.encode())
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.dcm")}
    second = deidentify_files(files, out=tmp_path / "out", key=KEY.encode())
    assert sorted(first.written) == sorted(second.written)
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.dcm")} == before


@pytest.mark.parametrize("key", ["", "too short"])
def test_without_a_good_key_nothing_is_written(
    inputs: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", key)
    with pytest.raises(InvalidSettings, match="16 bytes"):
        deidentify_command([inputs], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_output_may_not_lie_inside_the_input(inputs: Path) -> None:
    with pytest.raises(InvalidSettings, match="outside"):
        deidentify_command([inputs], out=inputs / "out")


def test_the_command_is_there(inputs: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["deidentify", str(inputs), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "4 files written" in done.output


def test_a_name_that_is_no_text_is_de_identified_too(inputs: Path, tmp_path: Path) -> None:
    (inputs / os.fsdecode(b"\xfcber.dcm")).write_bytes(patient_file(instance=9))
    assert deidentify_command([inputs], out=tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 5


def test_a_file_that_cannot_be_written_is_said_and_the_others_are_done(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, free = Path.write_bytes, iter([True, False])

    def write_bytes(path: Path, content: bytes) -> int:
        if not next(free, True):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    outcome = deidentify_files(sorted(inputs.rglob("*.dcm")), out=tmp_path / "out", key=KEY.encode())
    assert len(outcome.written) == 3
    assert list(outcome.refused.values()) == ["not_written: it cannot be written: No space left on device"]
