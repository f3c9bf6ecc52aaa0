from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from mammo.dicom import write_mammogram
from tests.mammo.dicom.files import gradient, mammogram_file
from tests.mammo.dicom.validator import assert_valid


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_validator_finds_no_error(tmp_path: Path, laterality: str, view: str, photometric: str) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(mammogram_file(laterality=laterality, view=view, photometric=photometric))
    assert_valid(path, "MammographyImageForPresentation")


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_a_validator_finds_no_error_in_raw_detector_values(tmp_path: Path, view: str) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(
        mammogram_file(gradient(bits=14), bits=14, view=view, photometric="MONOCHROME1", for_processing=True)
    )
    assert_valid(path, "MammographyImageForProcessing")


def test_raw_detector_values_are_another_series_of_the_same_study_without_a_window() -> None:
    picture, raw = (
        pydicom.dcmread(io.BytesIO(mammogram_file(for_processing=flag, photometric="MONOCHROME1")))
        for flag in (False, True)
    )
    assert raw.StudyInstanceUID == picture.StudyInstanceUID
    assert raw.SeriesInstanceUID != picture.SeriesInstanceUID
    assert raw.SOPInstanceUID != picture.SOPInstanceUID
    assert raw.PresentationIntentType == "FOR PROCESSING"
    assert (raw.PixelIntensityRelationship, raw.PixelIntensityRelationshipSign) == ("LIN", 1)
    assert "WindowCenter" in picture
    assert "WindowCenter" not in raw


def test_the_same_entropy_gives_the_same_file() -> None:
    assert mammogram_file(entropy="one") == mammogram_file(entropy="one")


def test_other_entropy_and_chance_give_other_uids() -> None:
    files = [mammogram_file(entropy=entropy) for entropy in ("one", "two", None, None)]
    uids = {pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID for data in files}
    assert len(uids) == 4


def test_views_of_one_study_share_it_and_nothing_else() -> None:
    views = [
        pydicom.dcmread(io.BytesIO(mammogram_file(view=view, number=number)))
        for number, view in enumerate(("CC", "MLO"), start=1)
    ]
    assert views[0].StudyInstanceUID == views[1].StudyInstanceUID
    assert views[0].SOPInstanceUID != views[1].SOPInstanceUID


@pytest.mark.parametrize(
    ("stored", "options"),
    [
        (gradient(bits=14), {"bits": 12}),
        (gradient(), {"bits": 17}),
        (gradient(), {"view": "SIDEWAYS"}),
        (gradient().astype(np.int16), {}),
        (gradient()[0], {}),
    ],
)
def test_what_cannot_be_written_truthfully_is_refused(
    tmp_path: Path, stored: Any, options: dict[str, Any]
) -> None:
    settings: dict[str, Any] = {"view": "CC", "bits": 12} | options
    with pytest.raises(ValueError, match=r"expected|fit"):
        write_mammogram(
            tmp_path / "a.dcm", stored, laterality="L", spacing_mm=0.07, patient_id="x", **settings
        )
    assert not (tmp_path / "a.dcm").exists()
