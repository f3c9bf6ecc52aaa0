from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.conversion.moving import headers_in
from mammo.exchange.conversion.plan import ConversionPlan, plan_conversion
from mammo.exchange.importing import import_mammogram
from mammo.images.task_images import TaskImages
from tests.mammo.exchange.conversion.test_merging import TRANSLATION, annotation, regions
from tests.mammo.exchange.exam_files import exam_files
from tests.mammo.exchange.import_files import SECRET

NO_PRIOR = "<p>No earlier exam is linked to this one.</p>"


@pytest.fixture
def tasks(tmp_path: Path) -> list[dict[str, Any]]:
    """The eight one-image tasks of two patients, numbered from 1."""
    root = tmp_path / "root"
    files = exam_files(root) + exam_files(root, patient="PHANTOM-2", study="1.2.4")
    return [
        {"id": number, "data": import_mammogram(file, root=root, files=tmp_path, patient_secret=SECRET)}
        for number, file in enumerate(files, start=1)
    ]


def plan(tasks: list[dict[str, Any]], root: Path, **more: Any) -> ConversionPlan:
    options: dict[str, Any] = {"translation": TRANSLATION, "converted": {}, "patient_secret": SECRET} | more
    header_of = headers_in(TaskImages(root=root, downloads=None), patient_secret=SECRET)
    return plan_conversion(tasks, header_of=header_of, **options)


def test_images_become_exams_by_their_files_and_a_second_plan_has_nothing_to_do(
    tasks: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = plan(tasks, tmp_path / "root")
    assert found.not_moved == []
    assert sorted(each.tasks for each in found.new) == [(1, 2, 3, 4), (5, 6, 7, 8)]
    first = next(each for each in found.new if each.tasks == (1, 2, 3, 4)).data
    for view, task in zip(EXAM_VIEWS, tasks, strict=False):
        assert first[view.key] == task["data"]["image"]
        for fact in ("sha256", "mammogram", "spacing_mm", "view", "laterality"):
            assert first[view.fact_key(fact)] == task["data"][fact]
    assert first["exam_title"].endswith("60-69 years, 0.07 mm per pixel (at the detector)")
    converted = {(each.data["patient"], each.data["exam"]): each.data for each in found.new}
    again = plan(tasks, tmp_path / "root", converted=converted)
    assert (again.new, again.num_converted, again.not_moved) == ([], 2, [])


@pytest.fixture
def two_exams(tmp_path: Path) -> list[dict[str, Any]]:
    """The one-image tasks of two exams of one patient, and of one of another before both; numbered from 1."""
    root = tmp_path / "root"
    files = exam_files(root, study="1.2.9", day="20240102") + exam_files(root, study="1.2.8", day="20230102")
    files += exam_files(root, patient="PHANTOM-2", study="1.2.7", day="20220102")
    return [
        {"id": number, "data": import_mammogram(file, root=root, files=tmp_path, patient_secret=SECRET)}
        for number, file in enumerate(files, start=1)
    ]


def test_an_exam_has_the_pictures_of_the_patients_exam_before_it(
    two_exams: list[dict[str, Any]], tmp_path: Path
) -> None:
    by_tasks = {each.tasks: each.data for each in plan(two_exams, tmp_path / "root").new}
    later, earlier, other = (by_tasks[first, first + 1, first + 2, first + 3] for first in (1, 5, 9))
    assert all(earlier[view.key] in later["prior"] for view in EXAM_VIEWS)
    assert (earlier["prior"], other["prior"]) == (NO_PRIOR, NO_PRIOR)


def test_an_exam_before_it_counts_that_was_converted_or_whose_annotations_stay_behind(
    two_exams: list[dict[str, Any]], tmp_path: Path
) -> None:
    done = next(each.data for each in plan(two_exams, tmp_path / "root").new if each.tasks == (5, 6, 7, 8))
    converted = {(done["patient"], done["exam"]): done}
    found = plan(two_exams, tmp_path / "root", converted=converted)
    assert found.num_converted == 1
    two_exams[4]["annotations"] = [annotation(result=regions())]
    behind = plan(two_exams, tmp_path / "root")
    assert len(behind.not_moved) == 1
    for each in (found, behind):
        (later,) = [task.data for task in each.new if task.tasks == (1, 2, 3, 4)]
        assert all(done[view.key] in later["prior"] for view in EXAM_VIEWS)


def test_one_exam_per_patient_has_none_before_it(two_exams: list[dict[str, Any]], tmp_path: Path) -> None:
    found = plan(two_exams[:4], tmp_path / "root", one_exam_per_patient=True)
    assert [each.data["prior"] for each in found.new] == [NO_PRIOR]


def test_an_exam_that_is_not_read_completely_stays_behind_and_the_other_goes(
    tasks: list[dict[str, Any]], tmp_path: Path
) -> None:
    tasks[0]["annotations"] = [annotation(result=regions())]
    found = plan(tasks, tmp_path / "root")
    assert [each.tasks for each in found.new] == [(5, 6, 7, 8)]
    (line,) = found.not_moved
    assert line.startswith("the exam of the tasks 1, 2, 3, 4: ")
    assert "task 2 has 0" in line


def test_an_exam_with_an_image_whose_file_is_gone_or_has_changed_stays_behind(
    tasks: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "root" / tasks[0]["data"]["mammogram"]).unlink()
    (tmp_path / "root" / tasks[5]["data"]["mammogram"]).write_bytes(b"DICM")
    found = plan(tasks, tmp_path / "root")
    assert found.new == []
    lines = dict(line.split(": ", 1) for line in found.not_moved)
    assert list(lines) == [f"task {number}" for number in range(1, 9)]
    assert "does not exist" in lines["task 1"]
    assert lines["task 2"].startswith("task 1 may be a view of its exam")
    assert "expected" in lines["task 6"] or "DICOM" in lines["task 6"]


def test_a_task_without_a_file_is_of_no_exam_unless_it_states_one(tmp_path: Path) -> None:
    data = [
        {
            "image": f"/data/upload/{view.name}.png",
            "patient": 4711,
            "laterality": view.laterality,
            "view": view.view,
        }
        for view in EXAM_VIEWS
    ]
    tasks = [{"id": number, "data": each} for number, each in enumerate(data, start=1)]
    assert {line.partition(": ")[2] for line in plan(tasks, tmp_path).not_moved} == {
        "neither its study nor its date is known"
    }
    stated = [{"id": each["id"], "data": each["data"] | {"exam": "first"}} for each in tasks]
    (new,) = plan(stated, tmp_path).new
    assert (new.data["exam"], new.data["patient"]) == ("first", "4711")
    (new,) = plan(tasks, tmp_path, one_exam_per_patient=True).new
    assert new.tasks == (1, 2, 3, 4)


def test_what_is_left_of_the_task_data_is_told(tasks: list[dict[str, Any]], tmp_path: Path) -> None:
    for task in tasks:
        task["data"] |= {"dataset": "inbreast", "reading_order": task["id"]}
        task["drafts"] = [{}]
    found = plan(tasks, tmp_path / "root")
    assert all(each.data["dataset"] == "inbreast" for each in found.new)
    assert found.lost_keys == {"reading_order"}
    assert found.num_drafts_left == 8
