from __future__ import annotations

import io

import pydicom
import pytest

from mammo.dicom import DicomSource, read_mammogram
from tests.mammo.dicom.files import mammogram_file, with_elements


def test_a_mammogram_knows_the_objects_that_results_refer_to() -> None:
    data = mammogram_file(view="MLO", laterality="R")
    dataset = pydicom.dcmread(io.BytesIO(data))
    assert read_mammogram(data).source == DicomSource(
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        series_instance_uid=dataset.SeriesInstanceUID,
        study_instance_uid=dataset.StudyInstanceUID,
    )


@pytest.mark.parametrize(
    "uid", ["../../etc/passwd", "1.2/3", "1..2", "", "1." + "2" * 80, "1.02", "=cmd|' /C calc'!A0", "1.2\n3"]
)
def test_a_uid_that_is_none_is_not_handed_on(uid: str) -> None:
    assert read_mammogram(with_elements(SOPInstanceUID=uid)).source is None


def test_the_source_is_not_printed_with_the_mammogram() -> None:
    mammogram = read_mammogram(mammogram_file())
    assert mammogram.source is not None
    assert mammogram.source.study_instance_uid not in repr(mammogram)
