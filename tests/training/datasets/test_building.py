"""Corrections become a dataset version, are reused by the next one, and open again as they were."""

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
import sqlalchemy as sa
import structlog

from mammo.blobs import Blobs
from mammo.database import dataset_item, dataset_version, reading
from mammo.dicom.source import DicomSource
from mammo.errors import ImageNotFound, InsufficientData, InvalidWeights, LabelStudioError, NeverTrainedFrom
from mammo.geometry import Size, Spacing
from mammo.images.task_images import TaskImages
from mammo.labelstudio import ControlTags, to_regions
from mammo.readings import ReadingRecords, ReadingRules
from tests.training.detections import square
from tests.training.project import Project, mammogram, sha
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.datasets.versions import open_dataset_version

PATIENTS = [f"{number:016x}" for number in range(12)]


@pytest.fixture
def project(store):
    return Project(store)


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def build(store, engine, blobs, project):
    def build_version(*, tags=None, secret=b"", **arguments):
        return build_dataset_version(
            store,
            engine,
            blobs,
            project=1,
            options=ReadOptions(
                tags=tags or ControlTags(), prefer=PREFERENCE, with_automatic=False, secret=secret
            ),
            **({"open_image": project.open_image} | arguments),
        )

    return build_version


def same_findings(found, drawn):
    assert [finding.box for finding in found] == [finding.box for finding in drawn]
    for one, other in zip(found, drawn, strict=True):
        assert one.mask.dice(other.mask) == 1.0


def test_corrections_become_cases_with_their_truth(build, project):
    drawn = [square(5, 5, 8), square(30, 20, 12)]
    project.annotate(7, drawn, patient=PATIENTS[0])
    dataset = build()
    (case,) = dataset.cases("train", open_image=project.open_image)
    assert (case.image, case.patient) == (sha(7), PATIENTS[0])
    assert sorted(f.box.x0 for f in case.truth) == [5, 30]
    same_findings(sorted(case.truth, key=lambda f: f.box.x0), drawn)
    assert case.read() is project.images["7.dcm"]


def test_what_another_projects_prompt_controls_drew_is_no_truth_and_its_labels_are_understood(build, project):
    tags = ControlTags(
        rectangle="frame", brush=None, polygon=None, keypoint=None, label="MC", prompts=frozenset({"ask"})
    )
    (drawn,) = to_regions([square(5, 5, 8)], size=Size(64, 48), tags=tags, model_version="m1")
    project.annotate(7, [], patient=PATIENTS[0], result=[drawn, drawn | {"from_name": "ask", "id": "p"}])
    (case,) = build(tags=tags).cases("train", open_image=project.open_image)
    assert [finding.box for finding in case.truth] == [square(5, 5, 8).box]
    assert build().why_excluded == {"unknown_label": 1}, "with ours nothing of it is known"


def test_a_normal_mammogram_is_a_case_without_findings(build, project):
    project.annotate(7, [], patient=PATIENTS[0])
    (case,) = build().cases("train", open_image=project.open_image)
    assert case.truth == ()


def test_building_twice_from_the_same_corrections_gives_the_same_name(build, project, blobs):
    for number, patient in enumerate(PATIENTS, 1):
        project.annotate(number, [square(number, 5)], patient=patient)
    first, second = build(), build()
    assert first == second
    project.annotate(1, [square(9, 9)], patient=PATIENTS[0])
    third = build()
    assert third.name != first.name
    assert open_dataset_version(first.name, blobs=blobs) == first


def test_a_dataset_version_opens_as_it_was_built_and_only_whole(build, project, blobs, tmp_path):
    project.annotate(7, [square(5, 5)], patient=PATIENTS[0])
    project.annotate(8, [], patient=None)
    dataset = build()
    assert open_dataset_version(dataset.name, blobs=blobs) == dataset
    path = tmp_path / "blobs" / "sha256" / dataset.name[:2] / dataset.name
    path.write_bytes(path.read_bytes().replace(b"train", b"tests"))
    with pytest.raises(InvalidWeights):
        open_dataset_version(dataset.name, blobs=blobs)


def test_all_views_of_a_patient_are_in_one_fold_for_ever(build, project):
    number = 0
    for patient in PATIENTS[:6]:
        for _ in range(4):
            number += 1
            project.annotate(number, [square(5, 5)] if number % 4 == 1 else [], patient=patient)
    early = {item.patient: item.fold for item in build().items}
    for patient in PATIENTS[6:]:
        number += 1
        project.annotate(number, [square(5, 5)], patient=patient)
    dataset = build()
    folds = {}
    for item in dataset.items:
        folds.setdefault(item.patient, set()).add(item.fold)
    assert all(len(fold) == 1 for fold in folds.values())
    assert all(folds[patient] == {fold} for patient, fold in early.items())
    assert set(early.values()) == {"train", "validation", "test"}
    assert (
        dataset.num_patients("train") + dataset.num_patients("test") + dataset.num_patients("validation")
        == 12
    )


def test_what_cannot_be_trusted_is_left_out_with_a_reason(build, project):
    region = {"type": "rectanglelabels", "from_name": "box", "to_name": "image", "original_width": 64}
    box = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["Cluster"]}
    project.annotate(1, [square(5, 5)], patient=PATIENTS[0])
    project.annotate(3, [square(5, 5)], patient=PATIENTS[1])
    project.images["3.dcm"] = mammogram(333)  # not the image of the task
    project.annotate(4, [square(5, 5)], patient=PATIENTS[2])
    del project.images["4.dcm"]
    project.annotate(5, [square(5, 5)], patient=PATIENTS[3])
    project.images["5.dcm"] = mammogram(5, size=Size(48, 64))
    project.annotate(6, [], patient=PATIENTS[4], result=[region | {"value": box}])
    dataset = build()
    assert [item.task_id for item in dataset.items] == [1]
    assert [(each.task_id, each.code) for each in dataset.excluded] == [
        (3, "image_changed"),
        (4, "image_not_found"),
        (5, "other_size"),
        (6, "invalid_region"),
    ]
    assert all(each.reason for each in dataset.excluded)
    assert dataset.why_excluded["other_size"] == 1


def test_a_malformed_task_is_left_out_and_the_others_are_built(build, project, tmp_path):
    content = cv2.imencode(".png", np.eye(48, 64, dtype=np.uint8) * 255)[1].tobytes()
    (tmp_path / "right.png").write_bytes(content)
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.png").mkdir()
    paths = ["right.png", "x" * 300, "loop.png", "folder.png", "right.png/x", ""]
    for number, path in enumerate(paths, 1):
        whole = {"mammogram": path, "sha256": hashlib.sha256(content).hexdigest()}
        project.annotate(number, [square(5, 5)], patient=PATIENTS[number], **whole)
    images = TaskImages(root=tmp_path, downloads=None)
    dataset = build(open_image=images.open, fingerprint=images.fingerprint)
    assert [item.task_id for item in dataset.items] == [1]
    assert dataset.why_excluded == {"image_not_found": 3, "unreadable_file": 2}


def test_without_a_patient_the_study_is_the_group_and_without_a_study_the_image_which_is_said(build, project):
    study = {"sop_class_uid": "1.2", "sop_instance_uid": "1.3", "series_instance_uid": "1.4"}
    source = DicomSource(**study, study_instance_uid="1.2.840.99")
    for number in (1, 2, 3, 4):
        project.annotate(number, [square(5, 5)], patient=None)
        if number < 3:
            project.images[f"{number}.dcm"] = replace(mammogram(number), source=source)
    with structlog.testing.capture_logs() as logged:
        dataset = build(secret=b"a")
    one, other, third, fourth = (item.patient for item in dataset.items)
    assert one == other != third != fourth
    assert one.startswith("study-")
    assert "840" not in one
    assert dataset.num_alone == 2
    assert [line["images"] for line in logged if line["log_level"] == "warning"] == [2]


def test_the_dicom_files_own_patient_is_used_where_the_task_names_none(build, project):
    project.annotate(1, [square(5, 5)], patient=None)
    project.images["1.dcm"] = mammogram(1, patient=PATIENTS[5])
    assert [item.patient for item in build().items] == [PATIENTS[5]]


def test_an_image_has_one_truth_the_newest(build, project):
    project.annotate(1, [square(5, 5)], patient=PATIENTS[0], annotation=11)
    project.annotate(1, [square(20, 20)], patient=PATIENTS[0], annotation=12)
    project.annotate(2, [], patient=PATIENTS[0], annotation=13, sha256=sha(1), mammogram="1.dcm")
    dataset = build()
    assert [item.annotation_id for item in dataset.items] == [13]
    assert [(each.annotation_id, each.code) for each in dataset.excluded] == [
        (11, "superseded"),
        (12, "superseded"),
    ]


def test_an_image_that_changes_later_is_refused_when_it_is_read(build, project):
    project.annotate(1, [square(5, 5)], patient=PATIENTS[0])
    (case,) = build().cases("train", open_image=project.open_image)
    project.images["1.dcm"] = mammogram(2)
    with pytest.raises(ImageNotFound) as caught:
        case.read()
    assert caught.value.code == "image_changed"


def test_only_what_opens_the_image_is_kept_of_a_task(build, project):
    project.annotate(1, [], patient=PATIENTS[0])
    (item,) = build().items
    assert set(item.task_data) == {"mammogram", "sha256", "patient"}


def test_label_studio_being_away_is_no_reason_to_train_on_less(build, project):
    project.annotate(1, [], patient=PATIENTS[0])

    def away(data):
        raise LabelStudioError("did not answer", code="label_studio_unreachable")

    def gone(data):
        raise LabelStudioError("it is not there", code="label_studio_404")

    with pytest.raises(LabelStudioError):
        build(open_image=away)
    assert build(open_image=gone).why_excluded == {"label_studio_404": 1}


def test_corrections_of_a_dataset_version_are_not_new_any_more(build, project, store):
    project.annotate(1, [], patient=PATIENTS[0])
    assert store.corrections_since(1) == 1
    build()
    assert store.corrections_since(1) == 0
    project.annotate(2, [], patient=PATIENTS[1])
    assert store.corrections_since(1) == 1


def test_pixels_are_read_only_when_a_case_is_read(build, project):
    project.annotate(1, [], patient=PATIENTS[0])
    dataset = build()
    project.opened.clear()
    (case,) = dataset.cases("train", open_image=project.open_image)
    assert project.opened == []
    assert case.read().pixels.dtype == np.float32


def test_which_annotations_a_dataset_version_holds_can_be_asked(build, project, engine):
    project.annotate(1, [square(10, 10)], patient=PATIENTS[0])
    project.annotate(2, [], patient=PATIENTS[1])
    dataset = build()
    build()  # the same name again: nothing is stored twice
    with reading(engine) as connection:
        rows = connection.execute(sa.select(dataset_item).order_by(dataset_item.c.annotation)).all()
    assert [(row.dataset, row.annotation, row.content_hash) for row in rows] == [
        (dataset.name, item.annotation_id, item.content_hash) for item in dataset.items
    ]
    assert len(rows) == 2


class Files:
    """As `TaskImages.fingerprint`: changes with the file."""

    def __init__(self):
        self.states = {}

    def fingerprint(self, data):
        return self.states.setdefault(data["mammogram"], "first")


def test_building_again_opens_only_what_is_new_or_may_have_changed(build, project):
    files = Files()
    for number in (1, 2, 3):
        project.annotate(number, [square(5, 5)], patient=PATIENTS[number])
    first = build(fingerprint=files.fingerprint)
    project.opened.clear()
    assert build(fingerprint=files.fingerprint) == first
    assert project.opened == []
    project.annotate(4, [square(5, 5)], patient=PATIENTS[4])
    project.annotate(1, [square(9, 9)], patient=PATIENTS[1])  # a correction of the correction
    files.states["2.dcm"] = "touched"
    second = build(fingerprint=files.fingerprint)
    assert sorted(data["mammogram"] for data in project.opened) == ["1.dcm", "2.dcm", "4.dcm"]
    assert second == build()  # as if nothing had been taken over


def test_other_labels_are_read_again_from_the_same_files(build, project):
    files = Files()
    project.annotate(1, [square(5, 5)], patient=PATIENTS[1])
    assert build(fingerprint=files.fingerprint).num_findings("train") == 1
    other = ControlTags(rectangle="frame", label="MC")
    assert build(fingerprint=files.fingerprint, tags=other).num_findings("train") == 0


def test_a_vanished_file_is_not_taken_over_from_the_version_before(build, project):
    project.annotate(1, [square(5, 5)], patient=PATIENTS[1])
    files = Files()
    build(fingerprint=files.fingerprint)
    del project.images["1.dcm"]

    def gone(data):
        raise ImageNotFound("gone")

    assert [each.code for each in build(fingerprint=gone).excluded] == ["image_not_found"]


def test_an_image_is_pinned_when_it_is_first_seen(build, project, store):
    store.record_prelabel(
        project=1,
        task=1,
        model_version="m1",
        regions=[],
        score=0.0,
        images={"": sha("what people saw")},
        num_cut=0,
        shown=True,
    )
    project.annotate(1, [square(5, 5)], patient=PATIENTS[1], sha256=None)
    project.annotate(2, [square(5, 5)], patient=PATIENTS[2], sha256=None)
    assert [(each.task_id, each.code) for each in build().excluded] == [(1, "image_changed")]
    project.images["2.dcm"] = mammogram(222)
    assert [each.task_id for each in build().excluded] == [1, 2]
    assert store.pinned_images(1) == {(1, ""): sha("what people saw"), (2, ""): sha(2)}


def test_a_mask_is_one_blob_however_many_versions_hold_it(build, project, blobs, tmp_path):
    project.annotate(1, [square(5, 5)], patient=PATIENTS[1])
    first = build()
    before = {path for path in (tmp_path / "blobs").rglob("*") if path.is_file()}
    project.annotate(2, [], patient=PATIENTS[2])
    second = build()
    assert first.name != second.name
    assert (
        len({path for path in (tmp_path / "blobs").rglob("*") if path.is_file()} - before) == 1
    )  # the manifest
    assert b"counts" not in blobs.read(second.name)


def test_a_manifest_says_who_view_and_spacing(build, project):
    project.annotate(1, [square(5, 5)], patient=PATIENTS[1])
    project.images["1.dcm"] = replace(mammogram(1), spacing=Spacing(0.07, 0.07, "given"))
    (item,) = build().items
    assert (item.view, item.spacing_mm, item.size) == ("LCC", 0.07, (64, 48))
    assert item.annotator == "unknown"


def test_a_project_without_a_correction_makes_no_dataset_version(build, engine):
    with pytest.raises(InsufficientData, match="project 1 has no corrections yet"):
        build()
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(dataset_version)) == 0


@pytest.mark.parametrize(
    ("spacing", "written"),
    [(Spacing(0.05, 0.1, "imager"), [0.05, 0.1]), (Spacing(0.07, 0.07, "imager"), 0.07), (None, None)],
)
def test_an_item_states_both_sides_of_pixels_that_are_not_square(build, project, blobs, spacing, written):
    project.annotate(7, [square(5, 5)], patient=PATIENTS[0])
    project.images["7.dcm"] = replace(project.images["7.dcm"], spacing=spacing)
    dataset = build()
    assert [item.spacing_mm for item in dataset.items] == [written]
    assert open_dataset_version(dataset.name, blobs=blobs) == dataset


def test_a_readers_project_is_never_frozen_to_train_on(build, project, engine):
    records = ReadingRecords(engine)
    records.create(2, rules=ReadingRules(), users={})
    records.record_project(2, "reader-1", 1, 1)
    project.annotate(1, [square(5, 5)], patient=PATIENTS[0])
    with pytest.raises(NeverTrainedFrom, match="train on project 2"):
        build()
