from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.dicom.reidentification import referenced_images
from mammo.dicom.results import Origin, Predecessor
from mammo.dicom.segmentation import MAX_SEGMENTS, write_segmentation
from mammo.errors import UnreadableImage
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.masks import Mask
from mammo.phantom import phantom_view
from tests.mammo.dicom.files import PATIENT, mammogram_file, with_elements
from tests.mammo.dicom.module_tables import contradictions
from tests.mammo.dicom.segmentations import read_segmentation
from tests.mammo.dicom.validator import assert_valid

AUTOMATIC = Origin(made_by="automatic", version="m0007-aabbccdd")


def finding(x: int = 3, y: int = 5, *, size: int = 6, name: str = "") -> Finding:
    bitmap = np.tri(size, dtype=np.bool_)
    mask = Mask(bitmap, x, y)
    return Finding(label=CLUSTER, score=0.8, box=mask.frame, mask=mask, id=name)


def segmentation_file(folder: Path, *findings: Finding, source: bytes | None = None, **options: Any) -> Path:
    path = folder / "a.seg.dcm"
    write_segmentation(
        path,
        findings or (finding(),),
        source=source or mammogram_file(),
        **({"origin": AUTOMATIC} | options),
    )
    return path


@pytest.mark.parametrize("made_by", ["automatic", "semiautomatic", "manual"])
@pytest.mark.parametrize("laterality", ["L", "R"])
def test_a_phantom_comes_back_as_it_was_and_a_validator_finds_no_error(
    tmp_path: Path, laterality: Literal["L", "R"], made_by: Literal["automatic", "semiautomatic", "manual"]
) -> None:
    view = phantom_view(2, laterality=laterality, view="MLO", clusters=2, width=512, height=640)
    assert len(view.truth) == 2
    source = mammogram_file(view.stored, laterality=laterality, view="MLO")
    origin = Origin(made_by=made_by, version="m0001")
    path = segmentation_file(
        tmp_path, *view.truth, source=source, origin=origin, calcifications=view.calcifications
    )
    assert_valid(path, "Segmentation")
    back = read_segmentation(path)
    assert back.size == view.size
    for actual, true in zip(back.findings, view.truth, strict=True):
        assert actual.mask is not None
        assert true.mask is not None
        np.testing.assert_array_equal(actual.mask.full(view.size), true.mask.full(view.size))
    assert back.calcifications is not None
    single = np.zeros((view.size.height, view.size.width), np.uint8)
    for mask in view.calcifications:
        mask.paste(single)
    np.testing.assert_array_equal(back.calcifications.full(view.size), single)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_overlapping_masks_of_any_form_come_back(tmp_path: Path, data: st.DataObject) -> None:
    findings = []
    for index in range(data.draw(st.integers(1, 4))):
        x, y = data.draw(st.integers(0, 24)), data.draw(st.integers(0, 40))
        rows = data.draw(st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=8, max_size=8))
        mask = Mask(np.array(rows, np.bool_), x, y).tight() or finding(x, y).mask
        assert mask is not None
        findings.append(Finding(label=CLUSTER, score=1, box=mask.frame, mask=mask, id=f"c{index}"))
    back = read_segmentation(segmentation_file(tmp_path, *findings))
    assert [actual.id for actual in back.findings] == [expected.id for expected in findings]
    for actual, expected in zip(back.findings, findings, strict=True):
        assert actual.mask is not None
        assert expected.mask is not None
        assert actual.mask.dice(expected.mask) == 1


def test_it_stands_in_the_patient_and_study_of_its_image_and_points_back(tmp_path: Path) -> None:
    image = pydicom.dcmread(io.BytesIO(mammogram_file()))
    segmentation = pydicom.dcmread(segmentation_file(tmp_path))
    assert (segmentation.PatientID, segmentation.StudyInstanceUID) == (PATIENT, image.StudyInstanceUID)
    assert segmentation.SeriesInstanceUID != image.SeriesInstanceUID
    assert segmentation.PatientOrientation == image.PatientOrientation
    assert read_segmentation(tmp_path / "a.seg.dcm").image == image.SOPInstanceUID


def test_segments_carry_the_codes_and_who_made_them(tmp_path: Path) -> None:
    calcification = finding(4, 6, size=2).mask
    assert calcification is not None
    path = segmentation_file(tmp_path, calcifications=[calcification])
    cluster, single = pydicom.dcmread(path).SegmentSequence
    codes = [
        (item.SegmentedPropertyTypeCodeSequence[0].CodeValue, item.SegmentAlgorithmType)
        for item in (cluster, single)
    ]
    assert codes == [("129769006", "AUTOMATIC"), ("129770007", "AUTOMATIC")]
    algorithm = cluster.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Yolo-MLSAM", "m0007-aabbccdd")


def test_a_cluster_keeps_its_tracking_uid_when_its_outline_is_corrected(tmp_path: Path) -> None:
    first = read_segmentation(segmentation_file(tmp_path, finding(name="f1"), finding(15, 20, name="f2")))
    second = read_segmentation(
        segmentation_file(tmp_path, finding(4, 5, size=7, name="f1"), finding(15, 20, name="f2"))
    )
    assert first.tracking_uids == second.tracking_uids
    assert len(set(first.tracking_uids)) == 2
    files = {pydicom.dcmread(segmentation_file(tmp_path, finding(x, 5))).SOPInstanceUID for x in (3, 4, 4)}
    assert len(files) == 2


def test_a_new_version_names_the_one_that_it_replaces_and_its_image_first(tmp_path: Path) -> None:
    first = pydicom.dcmread(segmentation_file(tmp_path))
    predecessor = Predecessor(
        sop_class_uid=first.SOPClassUID,
        sop_instance_uid=first.SOPInstanceUID,
        series_instance_uid=first.SeriesInstanceUID,
        study_instance_uid=first.StudyInstanceUID,
    )
    path = segmentation_file(tmp_path, predecessor=predecessor)
    assert_valid(path, "Segmentation")
    assert contradictions(pydicom.dcmread(path)) == contradictions(first)
    back = read_segmentation(path)
    assert back.predecessor == first.SOPInstanceUID != pydicom.dcmread(path).SOPInstanceUID
    assert [each.instance for each in referenced_images(path.read_bytes())] == [back.image]


def test_a_lesion_has_the_same_tracking_uid_in_all_views_of_its_study(tmp_path: Path) -> None:
    linked = replace(finding(name="c1"), lesion="LCC-c1")
    views = [
        read_segmentation(
            segmentation_file(
                tmp_path, linked, finding(15, 20, name="c2"), source=with_elements(SOPInstanceUID=uid)
            )
        )
        for uid in ("1.2.3.1", "1.2.3.2")
    ]
    (lesion, other), (again, another) = (view.tracking_uids for view in views)
    assert lesion == again
    assert len({lesion, other, another}) == 3


def test_a_synthetic_file_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    one, other = (segmentation_file(tmp_path, synthetic=True).read_bytes() for _ in range(2))
    assert one == other


def test_a_hostile_name_becomes_one_short_line(tmp_path: Path) -> None:
    name = "a\\b\n\x1b[31m" + "x" * 100
    path = segmentation_file(tmp_path, finding(name=name), origin=Origin(made_by="automatic", version=name))
    tracker = str(pydicom.dcmread(path).SegmentSequence[0].TrackingID)
    assert len(tracker) == 64
    assert tracker.startswith("a_b__[31mxxx")
    assert_valid(path, "Segmentation")


@pytest.mark.parametrize(
    "findings",
    [
        (),
        (Finding(label=CLUSTER, score=1, box=finding().box),),
        (finding(30, 5),),
        tuple(finding() for _ in range(MAX_SEGMENTS)),
        (finding(), Finding(label=CLUSTER, score=1, box=Box(20, 20, 21, 21), is_point=True)),
    ],
    ids=["none", "box only", "outside", "too many", "a point"],
)
def test_what_no_segmentation_can_hold_is_refused(tmp_path: Path, findings: tuple[Finding, ...]) -> None:
    with pytest.raises(ValueError, match=r"findings|mask|point"):
        write_segmentation(tmp_path / "a.dcm", findings, source=mammogram_file(), origin=AUTOMATIC)
    assert not list(tmp_path.iterdir())


def test_a_source_that_nothing_can_refer_to_is_refused_without_quoting_it(tmp_path: Path) -> None:
    sources = {
        "not_dicom": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "no_reference": with_elements(StudyInstanceUID=None, PatientName="DOE^JANE"),
        "parse": mammogram_file()[:300],
    }
    for code, source in sources.items():
        with pytest.raises(UnreadableImage) as caught:
            segmentation_file(tmp_path, source=source)
        assert caught.value.code == code
        assert "DOE" not in str(caught.value)


@pytest.mark.parametrize(
    "lost",
    [
        ("PatientOrientation",),
        ("PatientName", "PatientBirthDate", "PatientSex", "ReferringPhysicianName"),
        ("PatientID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    ],
)
def test_a_source_that_lost_what_may_be_empty_still_gets_a_valid_result(
    tmp_path: Path, lost: tuple[str, ...]
) -> None:
    source = with_elements(**dict.fromkeys(lost))
    path = segmentation_file(tmp_path, source=source)
    assert_valid(path, "Segmentation")
    assert len(read_segmentation(path).findings) == 1
