from __future__ import annotations

from pathlib import Path

import pytest

from mammo.dicom.reports.mammography_cad import CadImage, write_mammography_cad
from mammo.dicom.reports.reading import read_report
from mammo.errors import UnsupportedImage
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from tests.mammo.dicom.files import mammogram_file, with_elements
from tests.mammo.dicom.reports.documents import (
    CORRECTED,
    ORIGINS,
    SIZE,
    dumped,
    finding,
    instance,
    read,
    write,
)
from tests.mammo.dicom.validator import assert_valid


def test_one_document_holds_the_views_of_a_study_and_each_finding_refers_to_its_image(tmp_path: Path) -> None:
    sources = [mammogram_file(view="CC"), mammogram_file(view="MLO"), mammogram_file(view="ML")]
    found = [(finding(),), (), (finding(x=9), finding(x=15))]
    images = [
        CadImage(source=source, findings=each, num_calcifications=[None] * len(each), origin=CORRECTED)
        for source, each in zip(sources, found, strict=True)
    ]
    path = tmp_path / "a.dcm"
    write_mammography_cad(path, images)
    assert_valid(path, "MammographyCADSR")
    assert "1.2.3" in dumped(path)
    for source, each in zip(sources, found, strict=True):
        back = read_report(path, image=instance(source), size=SIZE).findings
        assert [one.finding.box for one in back] == [one.box for one in each]


def test_the_certainty_of_a_model_is_kept_and_a_person_has_none(tmp_path: Path) -> None:
    for origin, score in ((ORIGINS[0], 0.75), (CORRECTED, 1.0)):
        path = write(tmp_path / "a.dcm", "cad", finding(score=0.75), origin=origin)
        assert [each.finding.score for each in read(path).findings] == [score]


def test_a_box_without_an_outline_is_a_centre(tmp_path: Path) -> None:
    box = Finding(label=CLUSTER, score=1, box=Box(1, 2, 11, 8))
    path = write(tmp_path / "a.dcm", "cad", box)
    assert_valid(path, "MammographyCADSR")
    (back,) = read(path).findings
    assert back.finding.is_point
    assert back.finding.box == Box(6, 5, 7, 6)


@pytest.mark.parametrize("lost", ["ImageLaterality", "ViewCodeSequence", "PatientOrientation", "StudyDate"])
def test_an_image_that_a_viewer_could_not_place_is_refused(tmp_path: Path, lost: str) -> None:
    elements = {lost: None} | ({"ViewPosition": None} if lost == "ViewCodeSequence" else {})
    with pytest.raises(UnsupportedImage, match="export it as sr"):
        write(tmp_path / "a.dcm", "cad", finding(), source=with_elements(**elements))


def test_images_of_two_studies_are_refused(tmp_path: Path) -> None:
    images = [
        CadImage(source=source, findings=(), num_calcifications=(), origin=CORRECTED)
        for source in (mammogram_file(), mammogram_file(study_uid="1.2.3"))
    ]
    with pytest.raises(ValueError, match="one study"):
        write_mammography_cad(tmp_path / "a.dcm", images)
