"""The patient of an item, however the tasks write it, and patients that are refused."""

import pytest

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.errors import NeverTrainedFrom
from mammo.labelstudio import ControlTags
from mammo.readings import ReadingRecords, ReadingRules
from tests.training.detections import square
from tests.training.project import Project
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions


@pytest.fixture
def project(engine):
    project = Project(AnnotationStore(engine))
    yield project
    project.store.close()


@pytest.fixture
def build(engine, project, tmp_path):
    return lambda: build_dataset_version(
        project.store,
        engine,
        Blobs(tmp_path / "blobs"),
        project=1,
        open_image=project.open_image,
        options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=False),
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (4700, "4700"),
        (4700.0, 4700),
        ("P1 ", "P1"),
        ("J\u00f6rg", "Jo\u0308rg"),
        ("x" * 500, "x" * 500 + " "),
    ],
)
def test_a_patient_is_one_however_the_tasks_write_it(build, project, one, other):
    project.annotate(1, [square(5, 5)], patient=one)
    project.annotate(2, [square(5, 5)], patient=other)
    first, second = build().items
    assert first.patient == second.patient
    assert first.fold == second.fold


def test_long_patients_stay_apart(build, project):
    for number in (1, 2):
        project.annotate(number, [square(5, 5)], patient="x" * 500 + str(number))
    assert len({item.patient for item in build().items}) == 2


@pytest.mark.parametrize("patient", [True, ["P1"], {"id": 1}, 1.5, 2.0**60])
def test_a_patient_that_cannot_be_read_leaves_its_image_out_with_a_reason(build, project, patient):
    project.annotate(1, [square(5, 5)], patient=patient)
    (excluded,) = build().excluded
    assert excluded.code == "identifier"
    assert "patient" in excluded.reason


def test_images_that_get_their_patient_later_stay_where_a_model_may_have_seen_them(build, project):
    for number in range(1, 7):
        project.annotate(number, [square(5, 5)], patient=None)
    before = {item.task_id: item.fold for item in build().items}
    assert set(before.values()) == {"train", "validation", "test"}
    held_out = next(task for task, fold in before.items() if fold == "test")
    for number in range(1, 7):
        project.annotate(number, [square(5, 5)], patient=7 if number == held_out else 4700)
    after = {item.task_id: item.fold for item in build().items}
    assert after[held_out] == "test"
    assert {fold for task, fold in after.items() if task != held_out} == {"train"}


def test_a_readers_project_is_never_frozen_to_train_on(build, project, engine):
    records = ReadingRecords(engine)
    records.create(2, rules=ReadingRules(), users={})
    records.record_project(2, "reader-1", 1, 1)
    project.annotate(1, [square(5, 5)], patient="p1")
    with pytest.raises(NeverTrainedFrom, match="train on project 2"):
        build()
