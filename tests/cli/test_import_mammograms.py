from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from cli.import_mammograms import import_command
from cli.project.connecting import Screen
from mammo.errors import InvalidSettings, LabelStudioError
from mammo.exchange import importing
from mammo.exchange.importing import Rules
from tests.mammo.exchange.exam_files import EXAM_CONFIG, exam_files
from tests.mammo.exchange.import_files import NAME, PLANTED, SECRET, FakeTasks, dicom, seven_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return seven_files(tmp_path / "root")


def settings(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    for name, value in {
        "MAMMOGRAM_ROOT": str(root), "LABEL_STUDIO_URL": "http://127.0.0.1:1", "LABEL_STUDIO_API_KEY": "key",
        "PATIENT_SECRET": SECRET.decode(),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"YOLO_MLSAM_{name}", value)


@pytest.mark.parametrize("allow", [False, True])
def test_no_patient_tag_is_written_anywhere(
    root: Path, allow: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder,
) -> None:  # fmt: skip
    """The whole command, on files that name their patient inside and, one of them, in its path."""
    dicom(root / "0" / "named.dcm", seed=52, name=NAME)
    dicom(root / NAME.replace("^", "_") / "b.dcm", seed=53, name=NAME)
    longest = dicom(root / "0" / "long.dcm", seed=54, name="^".join([NAME] * 20))  # longer than a name may be
    broken = longest.read_bytes()
    (root / "0" / "cut.dcm").write_bytes(broken[: len(broken) // 2])
    client = FakeTasks()
    monkeypatch.setattr("mammo.labelstudio.LabelStudioClient", lambda *_: client)
    settings(monkeypatch, root)
    served = root.parent / "served"
    caplog.set_level(0)
    assert import_command([root], project=7, twins=served, rules=Rules(allow_identified=allow)) == 2
    assert len(client.data) == (9 if allow else 7)
    output = capfd.readouterr()
    assert "Importing" in output.err, "the progress bar"
    assert "file " in output.err
    written = [output.out, output.err, caplog.text, repr(client.data)]
    written += [str(warning.message) for warning in recwarn]
    for path in served.rglob("*"):
        written.append(str(path.relative_to(served)))
        if path.is_file():
            written.append(path.read_bytes().decode("latin-1"))
    assert len(list(served.rglob("*.png"))) == len(client.data)
    everything = "\n".join(written).lower()
    assert [planted for planted in PLANTED if planted in everything] == []


def test_a_name_that_is_no_text_is_refused_and_the_others_come_in(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dicom(root / os.fsdecode(b"rechts_\xfcber.dcm"), seed=70)
    dicom(root / "line\nbreak.dcm", seed=71)
    client = FakeTasks()
    monkeypatch.setattr("mammo.labelstudio.LabelStudioClient", lambda *_: client)
    settings(monkeypatch, root)
    assert import_command([root], project=7, twins=root.parent / "served") == 2
    assert len(client.data) == 8
    assert "line\nbreak.dcm" in {data["mammogram"] for data in client.data}
    json.dumps(client.data, ensure_ascii=False).encode()
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "UTF-8" in line]
    assert r"rechts_\xfcber.dcm" in line


def test_tasks_already_made_are_told_when_label_studio_goes_away(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    client = FakeTasks(fails_after=4)
    monkeypatch.setattr("mammo.labelstudio.LabelStudioClient", lambda *_: client)
    settings(monkeypatch, root)
    with pytest.raises(LabelStudioError):
        import_command([root], project=7, twins=root.parent / "served")
    assert "4 new tasks in project 7" in capfd.readouterr().out


def test_the_output_of_phantom_comes_in_whole_by_patient_and_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    arguments = ["phantom", "--patients", "2", "--seed", "7", "--positive", "1", "--out", str(root)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    client = FakeTasks()
    monkeypatch.setattr("mammo.labelstudio.LabelStudioClient", lambda *_: client)
    settings(monkeypatch, root)
    monkeypatch.setenv("YOLO_MLSAM_TWIN_ROOT", str(tmp_path / "served"))
    assert import_command([root], project=7, twins=None) == 0
    order = [(patient, view) for patient in (7, 8) for view in ("LCC", "LMLO", "RCC", "RMLO")]
    files = [f"PHANTOM-{patient:06d}_{view}.dcm" for patient, view in order]
    assert [data["mammogram"] for data in client.data] == files
    num_beside = len(list(root.glob("*.seg.dcm"))) + len(list(root.glob("*.json")))
    assert num_beside > 2
    assert f"8 new tasks in project 7; {num_beside} files are no images" in capfd.readouterr().out


def test_without_a_folder_of_twins_nothing_is_imported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(monkeypatch, root)
    with pytest.raises(InvalidSettings, match=r"YOLO_MLSAM_TWIN_ROOT.*--twins"):
        import_command([root], project=7, twins=None)


def test_tasks_are_ordered_by_patient_and_view_whatever_the_names_of_their_files() -> None:
    described = [
        {"patient": patient, "laterality": side, "view": view}
        for patient, side, view in [("b", "R", "CC"), ("a", "L", "MLO"), ("b", "L", "CC"), ("a", None, None)]
    ]
    ordered = [(each["patient"], each["laterality"]) for each in importing.by_patient_and_view(described)]
    assert ordered == [("b", "L"), ("b", "R"), ("a", None), ("a", "L")]


def test_a_project_that_shows_exams_gets_exams_and_says_what_fits_into_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The seven files are of one study each, of one patient and one date; the exam is another patient's."""
    exam_files(root / "exam", patient="PHANTOM-2")
    client = FakeTasks()
    client.server.add_project(7, config=EXAM_CONFIG)
    monkeypatch.setattr("mammo.labelstudio.LabelStudioClient", lambda *_: client)
    settings(monkeypatch, root)
    assert import_command([root], project=7, twins=root.parent / "served") == 2
    output = capfd.readouterr()
    assert "1 new tasks in project 7" in output.out
    assert output.err.count("in no exam: ") == 7
    assert "two studies on this date" in output.err
    assert "yolo-mlsam import FILE --screen image" in output.err


@pytest.mark.parametrize(("config", "screen"), [(None, "exam"), (EXAM_CONFIG, "image")])
def test_a_project_for_another_screen_is_refused_before_any_file_is_read(
    root: Path, config: str | None, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeTasks()
    client.server.add_project(7, config=config)
    monkeypatch.setattr("mammo.labelstudio.LabelStudioClient", lambda *_: client)
    settings(monkeypatch, root)
    with pytest.raises(InvalidSettings, match=f"--screen {screen}"):
        import_command([root], project=7, twins=root.parent / "served", screen=screen)
    assert not (root.parent / "served").exists()
