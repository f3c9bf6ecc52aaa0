from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from mammo.dicom import patient_key
from mammo.errors import LabelStudioError
from mammo.exam_views import EXAM_VIEWS, has_exam_keys
from mammo.exchange import exam_importing, importing
from mammo.exchange.exam_importing import import_exams
from mammo.exchange.exam_tasks import prior_pictures, shows_exam
from mammo.exchange.importing import ImportOptions, Outcome, Rules, images_of
from mammo.identifiers import pseudonym
from mammo.images.task_images import TaskImages, of_task
from mammo.labelstudio import ControlTags
from tests.mammo.exchange.exam_files import EXAM_CONFIG, change, exam_files
from tests.mammo.exchange.import_files import ID, NAME, SECRET, FakeTasks

TAGS = ControlTags.read(EXAM_CONFIG)


def run(root: Path, client: FakeTasks, *, rules: Rules = Rules(), **more: Any) -> Outcome:  # noqa: B008
    options = ImportOptions(root=root, twins=root.parent / "served", patient_secret=SECRET, rules=rules)
    outcome, paths = Outcome(), more.pop("paths", sorted(root.rglob("*.dcm")))
    import_exams(paths, project=7, client=client, options=options, outcome=outcome, **more)
    return outcome


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_an_exam_becomes_one_task_whose_every_view_can_be_read(root: Path) -> None:
    exam_files(root)
    client = FakeTasks()
    outcome = run(root, client)
    assert (outcome.num_new, outcome.refused, outcome.listed) == (1, [], [])
    (data,) = client.data
    assert data["patient"] == patient_key("PHANTOM-1", SECRET)
    images = TaskImages(root=root, downloads=None)
    for tags, view in zip(TAGS.on(data), EXAM_VIEWS, strict=True):
        mammogram = images.open(of_task(1, data, tags=tags))
        assert (mammogram.laterality, mammogram.view) == (view.laterality, view.view)
        assert mammogram.sha256 == data[view.fact_key("sha256")]
        assert data[view.title_key] == f"{view.title}  0.07 mm"
        assert (root.parent / "served" / data[view.key].split("?d=")[1]).is_file()
    shown = pseudonym(data["patient"])
    assert data["exam_title"] == f"Patient {shown}, 60-69 years, 0.07 mm per pixel (at the detector)"
    assert data["pseudonym"] == shown


def test_neither_study_nor_date_is_in_a_task_and_a_year_only_if_it_may_be(root: Path) -> None:
    exam_files(root, study="1.2.840.4711")
    client, other = FakeTasks(), FakeTasks()
    run(root, client)
    # The tests name the files after their study, and the path is part of the task.
    (data,) = ({key: value for key, value in data.items() if "mammogram" not in key} for data in client.data)
    assert [each for each in ("4711", "2024", "0102", "PHANTOM") if each in str(data)] == []
    run(root, other, show_year=True)
    assert ", 2024, " in other.data[0]["exam_title"]


def test_a_missing_view_has_its_key_and_no_image(root: Path) -> None:
    exam_files(root, views=EXAM_VIEWS[:3])
    client = FakeTasks()
    assert run(root, client).num_new == 1
    (data,) = client.data
    assert has_exam_keys(data)
    assert (data["lmlo"], data["lmlo_title"]) == ("", "L MLO  no image")
    assert [tags.image for tags in TAGS.on(data)] == ["RCC", "LCC", "RMLO"]


def test_tasks_come_in_the_order_of_patient_and_date_whatever_the_order_of_the_files(root: Path) -> None:
    files = exam_files(root, study="1.2.9", day="20250102")
    files += exam_files(root, study="1.2.10", day="20240102")
    files += exam_files(root, patient="PHANTOM-2", study="1.2.11")
    made = []
    for seed in range(2):
        client = FakeTasks()
        assert run(root, client, paths=random.Random(seed).sample(files, len(files))).num_new == 3
        made.append(client.data)
    assert made[0] == made[1]
    patients = [data["patient"] for data in made[0]]
    assert patients == sorted(patients)
    ours = [data for data in made[0] if data["patient"] == patient_key("PHANTOM-1", SECRET)]
    assert ["1.2.10" in data["rcc_mammogram"] for data in ours] == [True, False], "the earlier one first"


def test_a_second_run_imports_nothing_and_decodes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam_files(root)
    client = FakeTasks()
    run(root, client)
    monkeypatch.setattr(importing, "read_intake", None)
    again = run(root, client)
    assert (again.num_new, again.num_known, again.listed) == (0, 4, [])
    assert len(client.data) == 1


def test_an_exam_is_not_imported_without_an_image_that_is_a_task_of_its_own(root: Path) -> None:
    first, *_ = files = exam_files(root)
    client = FakeTasks()
    data = importing.import_mammogram(first, root=root, files=root.parent / "served", patient_secret=SECRET)
    client.server.add_tasks(7, data)
    assert list(images_of(client.tasks(7))) == [data["sha256"]]
    outcome = run(root, client, paths=files)
    assert (outcome.num_new, outcome.num_known, len(outcome.listed)) == (0, 1, 3)
    assert all("images of its exam are in task 1 of the project already" in line for line in outcome.listed)


def test_an_import_that_was_stopped_goes_on_where_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam_importing, "BATCH", 1)
    for number in range(3):
        exam_files(root, patient=f"PHANTOM-{number}", study=f"1.2.{number}")
    client = FakeTasks(fails_after=2)
    with pytest.raises(LabelStudioError):
        run(root, client)
    assert len(client.data) == 2
    client.fails_after = None
    outcome = run(root, client)
    assert (outcome.num_new, outcome.num_known) == (1, 8)
    assert len(images_of(client.tasks(7))) == 12


def test_a_view_that_comes_later_does_not_change_the_exam(root: Path) -> None:
    *files, last = exam_files(root)
    client = FakeTasks()
    run(root, client, paths=files)
    outcome = run(root, client, paths=[*files, last])
    assert (outcome.num_new, outcome.num_known) == (0, 3)
    (line,) = outcome.listed
    assert "images of its exam are in task 1 of the project already" in line
    assert last.name in line


def test_a_second_image_of_a_view_of_a_known_exam_is_told_alone(root: Path) -> None:
    first, *_ = exam_files(root)
    client = FakeTasks()
    run(root, client)
    change(Path(shutil.copy(first, root / "again.dcm")), InstanceNumber=9)
    (line,) = run(root, client).listed
    assert line.endswith("again.dcm: its exam has several images of R CC")


def test_an_exam_with_a_refused_file_is_not_imported_at_all(root: Path) -> None:
    broken, *_ = exam_files(root)
    dataset_bytes = bytearray(broken.read_bytes())
    broken.write_bytes(dataset_bytes[:-2000])  # the header is whole, the pixels are not
    client = FakeTasks()
    outcome = run(root, client)
    assert (outcome.num_new, client.data) == (0, [])
    (refused,) = outcome.refused
    assert broken.name in refused
    assert len(outcome.listed) == 3
    assert all("another file of its exam was refused" in line for line in outcome.listed)


def test_images_without_a_place_are_listed_and_the_other_exams_come_in(root: Path) -> None:
    exam_files(root)
    first, *_ = exam_files(root, patient="PHANTOM-2", study="1.2.4")
    copy = shutil.copy(first, root / "again.dcm")
    change(copy, InstanceNumber=9)
    change(*exam_files(root, patient="PHANTOM-3", study="1.2.5", views=EXAM_VIEWS[:1]), PatientID="")
    client = FakeTasks()
    outcome = run(root, client)
    assert outcome.num_new == 1
    assert sum("its exam has several images of R CC" in line for line in outcome.listed) == 5
    assert sum("its patient is unknown" in line for line in outcome.listed) == 1


def test_a_file_that_identifies_its_patient_is_refused_with_its_exam(root: Path) -> None:
    exam_files(root, PatientName=NAME, PatientID=ID, PatientIdentityRemoved="NO")
    client = FakeTasks()
    outcome = run(root, client)
    assert (outcome.num_new, len(outcome.refused)) == (0, 4)
    assert all("deidentify" in line and line.startswith("file ") for line in outcome.refused)
    assert run(root, client, rules=Rules(allow_identified=True)).num_new == 1


def test_a_path_that_names_the_patient_is_in_no_message(root: Path) -> None:
    folder = root / NAME.replace("^", "_")
    exam_files(folder, PatientName=NAME, PatientIdentityRemoved="NO", views=EXAM_VIEWS[:1])
    exam_files(
        folder,
        PatientName=NAME,
        PatientIdentityRemoved="NO",
        views=EXAM_VIEWS[:1],
        patient="P2",
        study="1.2.3",
    )
    outcome = run(root, FakeTasks(), rules=Rules(allow_identified=True))
    assert len(outcome.listed) == 2, "one study of two patients"
    assert "quatermain" not in str(outcome.listed).lower()


def test_only_a_project_with_the_keys_of_all_views_shows_exams() -> None:
    assert shows_exam(TAGS)
    assert not shows_exam(ControlTags())
    assert not shows_exam(ControlTags.read(EXAM_CONFIG.replace("$lmlo", "$image")))


def test_a_task_has_the_pictures_of_the_patients_exam_before_it_and_of_nobody_elses(root: Path) -> None:
    first = exam_files(root, study="1.2.1", day="20220102", views=EXAM_VIEWS[:3])
    second = exam_files(root, study="1.2.2", day="20230102")
    last = exam_files(root, study="1.2.3", day="20240102")
    other = exam_files(root, patient="PHANTOM-2", study="1.2.4", day="20210102")
    client = FakeTasks()
    run(root, client, paths=[*first, *second, *other])
    run(root, client, paths=[*first, *second, *last])
    tasks = client.data
    shown = {data["exam"]: [data[view.key] for view in EXAM_VIEWS if data[view.key]] for data in tasks}
    priors = [[exam for exam, addresses in shown.items() if addresses[0] in data["prior"]] for data in tasks]
    ours = [data["exam"] for data in tasks if data["patient"] == patient_key("PHANTOM-1", SECRET)]
    assert dict(zip([data["exam"] for data in tasks], priors, strict=True)) == {
        ours[0]: [],
        ours[1]: [ours[0]],
        ours[2]: [ours[1]],
        next(data["exam"] for data in tasks if data["exam"] not in ours): [],
    }
    (second_task,) = [data for data in tasks if data["exam"] == ours[1]]
    assert second_task["prior"].count("<img") == 3


def test_whatever_a_header_says_is_text_among_the_pictures() -> None:
    pictures = prior_pictures({"rcc": 'x" onerror="alert(1)', "exam_title": "<script>"})
    assert "<script" not in pictures
    assert 'onerror="' not in pictures


def test_a_study_that_two_patients_share_does_not_show_the_exam_of_the_other(root: Path) -> None:
    other = exam_files(root, patient="PHANTOM-2", study="1.2.1", day="20210102")
    client = FakeTasks()
    run(root, client, paths=other)
    broken, *more = exam_files(root / "ours", study="1.2.1", day="20220102")
    broken.write_bytes(broken.read_bytes()[:-2000])
    last = exam_files(root / "ours", study="1.2.2", day="20230102")
    assert run(root, client, paths=[broken, *more, *last]).num_new == 1
    assert client.data[1]["patient"] == patient_key("PHANTOM-1", SECRET)
    assert client.data[1]["prior"] == "<p>No earlier exam is linked to this one.</p>"
