from __future__ import annotations

import errno
import itertools
import os
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest

from mammo.dicom import display_twin, patient_key, read_mammogram
from mammo.errors import ImageNotFound, LabelStudioError, UnreadableImage
from mammo.exchange import importing
from mammo.exchange.importing import ImportOptions, Rules, import_files, import_mammogram
from mammo.identifiers import pseudonym
from mammo.images.task_images import TaskImages, of_task
from mammo.labelstudio import ControlTags
from tests.mammo.exchange.import_files import ID, NAME, SECRET, FakeTasks, dicom, seven_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return seven_files(tmp_path / "root")


def options_of(root: Path, rules: Rules) -> ImportOptions:
    return ImportOptions(root=root, twins=root.parent / "served", patient_secret=SECRET, rules=rules)


def run(root: Path, client: FakeTasks, *, rules: Rules = Rules(), **more: Any) -> importing.Outcome:  # noqa: B008
    return import_files(
        sorted(root.rglob("*.dcm")),
        project=7,
        client=client,
        options=options_of(root, rules),
        **{"tags": ControlTags(), **more},
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
        assert data["pseudonym"] == pseudonym(data["patient"]) != data["patient"]
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
    with pytest.raises(LabelStudioError):
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


@pytest.mark.parametrize("name", ["loop.dcm", "nowhere.dcm", "folder.dcm", "x" * 300])
def test_a_path_that_leads_nowhere_costs_itself_only(root: Path, name: str) -> None:
    (root / "loop.dcm").symlink_to("loop.dcm")
    (root / "folder.dcm").mkdir()
    client = FakeTasks()
    outcome = import_files(
        [root / name, root / "0" / "0.dcm"],
        project=7,
        client=client,
        tags=ControlTags(),
        options=options_of(root, Rules()),
    )
    assert (outcome.num_new, len(outcome.refused)) == (1, 1)


def test_a_task_holds_its_image_where_the_projects_labeling_config_looks_for_it(root: Path) -> None:
    client = FakeTasks()
    run(root, client, tags=ControlTags(value="current"))
    assert {("current" in data, "image" in data) for data in client.data} == {(True, False)}
    read = of_task(1, client.data[0], tags=ControlTags(value="current"))
    assert read["mammogram"] == client.data[0]["mammogram"]
