from __future__ import annotations

import errno
import itertools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest

from cli.import_mammograms import import_command
from mammo.dicom import display_twin, patient_key, read_mammogram, write_mammogram
from mammo.errors import ImageNotFound, UnreadableImage
from mammo.exchange import importing
from mammo.exchange.importing import Rules, import_files, import_mammogram
from mammo.images.task_images import TaskImages, of_task
from mammo.labelstudio import ControlTags, labeling_config

SECRET = b"a secret of the site"
NAME, ID, BIRTH = "QUATERMAIN^HERMINE", "PID-90817", "19440229"
PLANTED = ("quatermain", "hermine", "90817", "19440229")


class FakeTasks:
    """Label Studio as far as an import sees it; it may go away after some tasks."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self.data: list[dict[str, Any]] = []
        self.calls: list[int] = []
        self.fails_after = fails_after

    def project(self, project: int) -> dict[str, Any]:
        return {"label_config": labeling_config()}

    def close(self) -> None:
        pass

    def tasks(self, project: int) -> list[dict[str, Any]]:
        assert project == 7
        return [{"id": number, "data": data} for number, data in enumerate(self.data, 1)]

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        if self.fails_after is not None and len(self.data) + len(tasks) > self.fails_after:
            raise ConnectionError("gone")
        self.calls.append(len(tasks))
        self.data += [dict(task) for task in tasks]
        return list(range(len(self.data) - len(tasks) + 1, len(self.data) + 1))


def dicom(path: Path, *, seed: int = 0, name: str | None = None, patient: str = "PHANTOM-1") -> Path:
    """A mammogram that nobody was imaged for, or, with a name, one of a patient."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.random.default_rng(seed).integers(0, 4096, (48, 40)).astype(np.uint16)
    write_mammogram(
        path,
        stored,
        laterality="L",
        view="CC",
        spacing_mm=0.07,
        bits=12,
        patient_id=patient,
        entropy=str(seed),
    )
    if name is not None:
        dataset = pydicom.dcmread(path)
        dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = name, ID, BIRTH
        dataset.PatientIdentityRemoved = "NO"
        dataset.PatientComments = f"called {name}"
        dataset.save_as(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed in range(7):
        dicom(tmp_path / "root" / f"{seed // 4}" / f"{seed}.dcm", seed=seed)
    return tmp_path / "root"


def run(root: Path, client: FakeTasks, **options: Any) -> importing.Outcome:
    return import_files(
        sorted(root.rglob("*.dcm")),
        project=7,
        client=client,
        root=root,
        twins=root.parent / "served",
        patient_secret=SECRET,
        **{"tags": ControlTags(), **options},
    )


def test_every_file_becomes_one_task_with_its_twin(root: Path) -> None:
    client = FakeTasks()
    outcome = run(root, client)
    assert (outcome.num_new, outcome.num_known, outcome.refused) == (7, 0, [])
    for data in client.data:
        file = root / data["mammogram"]
        twin = cv2.imread(str(root.parent / "served" / data["image"].split("?d=")[1]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(twin, display_twin(file))
        assert data["patient"] == patient_key("PHANTOM-1", SECRET)
        assert data["spacing_mm"] == [0.07, 0.07]
    assert not list((root.parent / "served").rglob("*.partial"))


def test_a_second_run_imports_nothing_and_decodes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeTasks()
    run(root, client)
    monkeypatch.setattr(importing, "read_intake", None)
    again = run(root, client)
    assert (again.num_new, again.num_known) == (0, 7)
    assert len(client.data) == 7


def test_an_import_that_was_stopped_goes_on_where_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    client = FakeTasks(fails_after=4)
    with pytest.raises(ConnectionError):
        run(root, client)
    assert len(client.data) == 4
    client.fails_after = None
    outcome = run(root, client)
    assert (outcome.num_new, outcome.num_known) == (3, 4)
    assert len({data["sha256"] for data in client.data}) == 7


def test_the_same_content_under_two_names_is_one_task(root: Path) -> None:
    (root / "copy.dcm").write_bytes((root / "0" / "0.dcm").read_bytes())
    client = FakeTasks()
    outcome = run(root, client)
    assert (outcome.num_new, outcome.num_known) == (7, 1)


def test_two_files_are_worked_on_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2, timeout=20)
    real, count = importing.read_intake, itertools.count()

    def read_intake(*args: Any, **options: Any) -> Any:
        if next(count) < 2:
            together.wait()  # breaks, and fails the import, when nobody else comes
        return real(*args, **options)

    monkeypatch.setattr(importing, "read_intake", read_intake)
    assert run(root, FakeTasks()).num_new == 7


def test_progress_sees_every_file(root: Path) -> None:
    seen: list[int] = []

    def progress(done: Any, total: int) -> Any:
        for item in done:
            seen.append(total)
            yield item

    run(root, FakeTasks(), progress=progress)
    assert seen == [7] * 7


def test_a_broken_file_is_named_and_the_others_are_imported(root: Path) -> None:
    (root / "0" / "broken.dcm").write_bytes(b"not an image at all")
    outcome = run(root, FakeTasks())
    assert outcome.num_new == 7
    (line,) = outcome.refused
    assert "broken.dcm" in line
    assert "expected a DICOM" in line


def test_a_file_outside_the_root_is_refused(root: Path, tmp_path: Path) -> None:
    stranger = dicom(tmp_path / "elsewhere" / "a.dcm", seed=99)
    with pytest.raises(ValueError, match="below"):
        import_mammogram(stranger, root=root, files=tmp_path, patient_secret=SECRET)


def test_a_file_that_names_its_patient_is_refused_and_it_says_why(root: Path) -> None:
    dicom(root / "0" / "identified.dcm", seed=50, name=NAME)
    client = FakeTasks()
    outcome = run(root, client)
    assert outcome.num_new == 7
    (line,) = outcome.refused
    for word in ("PatientName", "PatientID", "PatientBirthDate", "deidentify", "--allow-identified"):
        assert word in line
    assert run(root, client, rules=Rules(allow_identified=True)).num_new == 1
    assert client.data[-1]["patient"] == patient_key(ID, SECRET)


@pytest.mark.parametrize("folder", ["Quatermain_Hermine", "x/pid-90817", "19440229", "MGQUATERMAINL"])
def test_a_path_with_the_name_in_it_is_refused_even_when_identified_files_are_allowed(
    root: Path, folder: str
) -> None:
    file = dicom(root / folder / "a.dcm", seed=51, name=NAME)
    with pytest.raises(UnreadableImage) as caught:
        import_mammogram(
            file, root=root, files=root.parent, patient_secret=SECRET, rules=Rules(allow_identified=True)
        )
    assert caught.value.code == "named_path"


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
    monkeypatch.setattr("mammo.site.LabelStudioClient", lambda *_: client)
    for name, value in {
        "MAMMOGRAM_ROOT": str(root), "LABEL_STUDIO_URL": "http://127.0.0.1:1", "LABEL_STUDIO_API_KEY": "key",
        "PATIENT_SECRET": SECRET.decode(),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"YOLO_MLSAM_{name}", value)
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


def test_raw_detector_values_come_in_only_when_asked_and_are_read_again_as_they_were_shown(
    root: Path,
) -> None:
    file = dicom(root / "raw.dcm", seed=60)
    dataset = pydicom.dcmread(file)
    dataset.PresentationIntentType = "FOR PROCESSING"
    dataset.save_as(file)
    client = FakeTasks()
    (line,) = run(root, client).refused
    assert "For Processing" in line
    run(root, client, rules=Rules(convert_for_processing=True))
    assert [data.get("converted") for data in client.data] == [None] * 7 + [True]
    mammogram = TaskImages(root=root, downloads=None).open(client.data[-1])
    assert mammogram.converted
    np.testing.assert_array_equal(mammogram.pixels, read_mammogram(file, convert_for_processing=True).pixels)


def test_the_hash_taken_at_import_is_checked_when_the_task_is_opened(root: Path) -> None:
    file = root / "0" / "0.dcm"
    data = import_mammogram(file, root=root, files=root.parent / "served", patient_secret=SECRET)
    images = TaskImages(root=root, downloads=None)
    assert images.open(data).sha256 == data["sha256"]
    content = bytearray(file.read_bytes())
    content[-10] ^= 1  # one bit of one pixel: no decoder would notice
    file.write_bytes(content)
    with pytest.raises(ImageNotFound) as caught:
        images.open(data)
    assert caught.value.code == "image_changed"


def test_a_name_that_is_no_text_is_refused_and_the_others_come_in(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dicom(root / os.fsdecode(b"rechts_\xfcber.dcm"), seed=70)
    dicom(root / "line\nbreak.dcm", seed=71)
    client = FakeTasks()
    monkeypatch.setattr("mammo.site.LabelStudioClient", lambda *_: client)
    settings(monkeypatch, root)
    assert import_command([root], project=7, twins=root.parent / "served") == 2
    assert len(client.data) == 8
    assert "line\nbreak.dcm" in {data["mammogram"] for data in client.data}
    json.dumps(client.data, ensure_ascii=False).encode()
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "UTF-8" in line]
    assert r"rechts_\xfcber.dcm" in line


def test_a_full_disk_is_a_sentence_and_a_second_run_goes_on(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, free = Path.write_bytes, iter([True, False, True, False, True, True, True])

    def write_bytes(path: Path, content: bytes) -> int:
        if not next(free, True):
            real(path, content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, content)

    client = FakeTasks()
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    outcome = run(root, client)
    assert (outcome.num_new, len(outcome.refused)) == (5, 2)
    assert all("cannot be written: No space left" in line for line in outcome.refused)
    assert not list((root.parent / "served").rglob("*.partial"))
    again = run(root, client)
    assert (again.num_new, again.num_known, again.refused) == (2, 5, [])


def test_a_folder_that_may_not_be_written_refuses_file_by_file(root: Path) -> None:
    (root.parent / "served").write_bytes(b"a file where the folder should be")
    outcome = run(root, FakeTasks())
    assert outcome.num_new == 0
    assert len(outcome.refused) == 7


def test_tasks_already_made_are_told_when_label_studio_goes_away(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    client = FakeTasks(fails_after=4)
    monkeypatch.setattr("mammo.site.LabelStudioClient", lambda *_: client)
    settings(monkeypatch, root)
    with pytest.raises(ConnectionError):
        import_command([root], project=7, twins=root.parent / "served")
    assert "4 new tasks in project 7" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["loop.dcm", "nowhere.dcm", "folder.dcm", "x" * 300])
def test_a_path_that_leads_nowhere_costs_itself_only(root: Path, name: str) -> None:
    (root / "loop.dcm").symlink_to("loop.dcm")
    (root / "folder.dcm").mkdir()
    client = FakeTasks()
    outcome = import_files(
        [root / name, root / "0" / "0.dcm"],
        project=7,
        client=client,
        root=root,
        twins=root.parent / "served",
        patient_secret=SECRET,
        tags=ControlTags(),
    )
    assert (outcome.num_new, len(outcome.refused)) == (1, 1)


def test_a_task_holds_its_image_where_the_projects_labeling_config_looks_for_it(root: Path) -> None:
    client = FakeTasks()
    run(root, client, tags=ControlTags(value="current"))
    assert {("current" in data, "image" in data) for data in client.data} == {(True, False)}
    read = of_task(1, client.data[0], tags=ControlTags(value="current"))
    assert read["mammogram"] == client.data[0]["mammogram"]


def settings(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    for name, value in {
        "MAMMOGRAM_ROOT": str(root), "LABEL_STUDIO_URL": "http://127.0.0.1:1", "LABEL_STUDIO_API_KEY": "key",
        "PATIENT_SECRET": SECRET.decode(),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"YOLO_MLSAM_{name}", value)
