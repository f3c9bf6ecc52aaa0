"""Claims about both kinds of reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.bi_rads import DISTRIBUTIONS, MORPHOLOGIES, SUSPICIONS
from mammo.dicom.reports import codes
from mammo.dicom.reports.report import MAX_CORNERS
from mammo.dicom.results import Origin, Predecessor, digest
from mammo.dicom.segmentation import write_segmentation
from mammo.errors import UnreadableImage
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from tests.mammo.dicom.files import PATIENT, mammogram_file, with_elements
from tests.mammo.dicom.module_tables import contradictions
from tests.mammo.dicom.reports.documents import (
    CORRECTED,
    ORIGINS,
    SIZE,
    clusters,
    dumped,
    finding,
    instance,
    read,
    write,
)
from tests.mammo.dicom.segmentations import read_segmentation
from tests.mammo.dicom.validator import assert_valid

KINDS = ("measurements", "cad")
NAMES = {"measurements": "ComprehensiveSR", "cad": "MammographyCADSR"}
both = pytest.mark.parametrize("kind", KINDS)


@both
@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.made_by)
def test_validators_find_no_error_and_a_viewer_shows_the_words(
    tmp_path: Path, kind: str, origin: Origin
) -> None:
    described = finding(morphology="fine pleomorphic", distribution="segmental", suspicion="4B")
    path = write(tmp_path / "a.dcm", kind, described, origin=origin)
    assert_valid(path, NAMES[kind])
    assert contradictions(pydicom.dcmread(path)) == []
    shown = dumped(path)
    for word in (
        "129769006",
        "Fine pleomorphic calcification",
        "Segmental calcification distribution",
        "POLYLINE",
    ):
        assert word in shown
    assert (origin.version in shown) == (origin.made_by != "manual" or kind == "cad")
    assert all(each in shown for each in origin.weights)
    back = read(path)
    assert back.kind == kind
    assert back.origin == (origin if kind == "measurements" else replace(origin, person=""))


@both
def test_no_findings_are_a_report_that_says_so(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a.dcm", kind)
    assert_valid(path, NAMES[kind])
    assert contradictions(pydicom.dcmread(path)) == []
    assert ("without findings" in dumped(path)) == (kind == "cad")
    assert read(path).findings == ()
    evidence = pydicom.dcmread(path).CurrentRequestedProcedureEvidenceSequence[0]
    referenced = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == instance(mammogram_file())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.lists(clusters(), max_size=3), kind=st.sampled_from(KINDS), count=st.none() | st.integers(0, 128)
)
def test_findings_come_back_as_they_were(
    tmp_path: Path, found: list[Finding], kind: str, count: int | None
) -> None:
    path = write(tmp_path / "a.dcm", kind, *found, num_calcifications=[count] * len(found))
    back = read(path).findings
    assert len(back) == len(found)
    for actual, expected in zip(back, found, strict=True):
        assert actual.finding.box == expected.box
        assert expected.mask is not None
        assert actual.finding.mask is not None
        np.testing.assert_array_equal(actual.finding.mask.full(SIZE), expected.mask.full(SIZE))
        assert actual.finding.distribution == expected.distribution
        is_coded = kind == "measurements" or expected.morphology in codes.MORPHOLOGIES
        assert actual.finding.morphology == (expected.morphology if is_coded else None)
        own = (expected.suspicion, expected.comment) if kind == "measurements" else (None, "")
        assert (actual.finding.suspicion, actual.finding.comment) == own
        assert (actual.laterality, actual.num_calcifications) == ("L", count)


@both
def test_a_report_stands_in_the_study_of_its_image_and_shares_its_tracking_with_the_segmentation(
    tmp_path: Path, kind: str
) -> None:
    linked = finding(lesion="LCC-1")
    path = write(tmp_path / "a.dcm", kind, linked, finding(id="other"))
    report = pydicom.dcmread(path)
    image = pydicom.dcmread(pydicom.filebase.DicomBytesIO(mammogram_file()))
    assert (report.PatientID, report.StudyInstanceUID) == (PATIENT, image.StudyInstanceUID)
    assert report.SeriesInstanceUID != image.SeriesInstanceUID
    write_segmentation(
        tmp_path / "seg.dcm", [linked, finding(id="other")], source=mammogram_file(), origin=CORRECTED
    )
    tracked = [each.tracking.uid for each in read(path).findings if each.tracking]
    assert tuple(tracked) == read_segmentation(tmp_path / "seg.dcm").tracking_uids


@both
def test_the_same_findings_have_the_same_uids_and_bytes_and_others_have_others(
    tmp_path: Path, kind: str
) -> None:
    earlier = Predecessor(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        sop_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
        study_instance_uid="2.25.3",
    )
    variants: list[dict[str, Any]] = [
        {},
        {},
        {"found": finding(np.tri(8))},
        {"found": finding(distribution="linear")},
        {"predecessor": earlier},
        {"num_calcifications": [8]},
        {"origin": ORIGINS[0]},
    ]
    written = []
    for variant in variants:
        found = variant.pop("found", finding())
        written.append(write(tmp_path / "a.dcm", kind, found, synthetic=True, **variant).read_bytes())
        if variant.get("predecessor"):
            assert read(tmp_path / "a.dcm").predecessors == ("2.25.1",)
            assert_valid(tmp_path / "a.dcm", NAMES[kind])
    assert written[0] == written[1]
    assert len({instance(each) for each in written}) == len(written) - 1


@both
def test_what_no_report_can_hold_is_refused(tmp_path: Path, kind: str) -> None:
    point = Finding(label=CLUSTER, score=1, box=Box(20, 20, 21, 21), is_point=True)
    checkered = np.indices((100, 100)).sum(axis=0) % 2 == 0
    for found, reason in (
        (point, "point"),
        (finding(x=30), "inside the image"),
        (finding(checkered, x=0, y=0), f"at most {MAX_CORNERS}"),
    ):
        source = (
            mammogram_file(np.tile(np.arange(120, dtype=np.uint16), (120, 1))) if "most" in reason else None
        )
        with pytest.raises(ValueError, match=reason):
            write(tmp_path / "a.dcm", kind, found, source=source)
    assert not list(tmp_path.iterdir())


@both
@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not_dicom"),
        (with_elements(StudyInstanceUID=None, PatientName="DOE^JANE"), "no_reference"),
        (mammogram_file()[:300], "parse"),
    ],
)
def test_a_source_that_nothing_can_refer_to_is_refused_without_quoting_it(
    tmp_path: Path, kind: str, source: bytes, code: str
) -> None:
    with pytest.raises(UnreadableImage) as caught:
        write(tmp_path / "a.dcm", kind, finding(), source=source)
    assert caught.value.code == code
    assert "DOE" not in str(caught.value)


@both
def test_a_name_of_one_part_is_quoted_nowhere(tmp_path: Path, kind: str) -> None:
    """highdicom would warn, and warnings are errors here."""
    named = with_elements(PatientName="DOE")
    assert read(write(tmp_path / "a.dcm", kind, finding(), source=named), source=named).findings
    write_segmentation(tmp_path / "seg.dcm", [finding()], source=named, origin=CORRECTED)


def test_every_word_of_bi_rads_has_a_code_of_the_standard_or_is_known_to_have_none() -> None:
    assert set(MORPHOLOGIES) - set(codes.MORPHOLOGIES) == {"typically benign"}
    assert set(DISTRIBUTIONS) == set(codes.DISTRIBUTIONS)
    assert {codes.READ_MORPHOLOGIES[code.value] for code in codes.MORPHOLOGIES.values()} == set(
        codes.MORPHOLOGIES
    )
    assert set(codes.READ_MORPHOLOGIES.values()) <= set(MORPHOLOGIES)
    assert set(SUSPICIONS) == set(codes.SUSPICIONS)
    assert {*codes.READ_SUSPICIONS.values(), *codes.SUSPICION_TEXTS.values()} == set(SUSPICIONS)


def test_a_word_and_the_same_text_as_a_comment_are_different_results() -> None:
    said = [finding(), finding(suspicion="2"), finding(comment="2"), finding(suspicion="2", comment="2")]
    assert len({digest(each) for each in said}) == len(said)
