from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from mammo.dicom import patient_key, read_intake
from mammo.dicom.image_header import ImageHeader, read_header
from mammo.errors import UnreadableImage
from tests.mammo.dicom.files import PATIENT, edited, mammogram_file, with_elements

SECRET = b"a secret of the site"


def header(data: bytes, **options: Any) -> ImageHeader:
    return read_header(data, path="a.dcm", patient_secret=SECRET, **options)


def modified(code: str, scheme: str = "SCT") -> bytes:
    """A view with a modifier."""

    def edit(dataset: FileDataset) -> None:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "DOE"
        dataset.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([item])

    return edited(mammogram_file(), edit)


def test_a_header_agrees_with_the_intake_of_the_whole_file() -> None:
    data = mammogram_file(laterality="R", view="MLO")
    found, whole = header(data), read_intake(data, path="a.dcm", patient_secret=SECRET)
    for fact in ("sha256", "patient", "laterality", "view", "identifying", "named_in_path"):
        assert getattr(found, fact) == getattr(whole, fact)
    assert found.day == "20240102"
    assert found.age_band == "60-69"
    assert found.modifier == ""


def test_no_identifier_is_in_a_header() -> None:
    data = with_elements(mammogram_file(study_uid="1.2.3"), StudyDate="20240102")
    found = header(data)
    assert found.patient == patient_key(PATIENT, SECRET)
    assert found.study not in (None, "1.2.3")
    text = repr(found)
    assert [each for each in (PATIENT, "1.2.3", "20240102") if each in text] == []


def test_images_of_one_study_have_one_key() -> None:
    one, other = (header(mammogram_file(study_uid="1.2.3", view=view)) for view in ("CC", "MLO"))
    assert one.study == other.study != header(mammogram_file(study_uid="1.2.4")).study


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("025Y", "under 30"),
        ("030Y", "30-39"),
        ("089Y", "80-89"),
        ("094Y", "90 or older"),
        ("006M", ""),
        ("", ""),
    ],
)
def test_an_age_is_told_in_bands(age: str, band: str) -> None:
    assert header(with_elements(PatientAge=age)).age_band == band


@pytest.mark.parametrize(
    ("code", "scheme", "modifier"),
    [
        ("399055006", "SCT", "spot compression"),
        ("R-102D6", "SRT", "magnification"),
        ("DOE", "99X", "an unknown view modifier"),
    ],
)
def test_a_modified_view_is_no_standard_view(code: str, scheme: str, modifier: str) -> None:
    assert header(modified(code, scheme)).modifier == modifier


@pytest.mark.parametrize(("factor", "modifier"), [("1.05", ""), ("1.8", "magnification"), ("", "")])
def test_a_magnified_image_is_no_standard_view(factor: str, modifier: str) -> None:
    data = with_elements(EstimatedRadiographicMagnificationFactor=factor)
    assert header(data).modifier == modifier


def test_what_is_missing_or_no_date_is_unknown() -> None:
    found = header(
        with_elements(StudyDate="2024", StudyInstanceUID=None, PatientID="", ViewCodeSequence=None)
    )
    assert (found.day, found.study, found.patient) == ("", None, None)


def test_raw_detector_values_are_refused_unless_they_are_asked_for() -> None:
    data = with_elements(PresentationIntentType="FOR PROCESSING")
    with pytest.raises(UnreadableImage, match="--convert-for-processing"):
        header(data)
    assert header(data, convert_for_processing=True).view == "CC"


def test_a_plain_image_has_no_header() -> None:
    found = header(cv2.imencode(".png", np.zeros((20, 20), np.uint8))[1].tobytes())
    assert (found.patient, found.study, found.view) == (None, None, None)
