from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from mammo.dicom import display_twin, read_mammogram
from tests.mammo.dicom.files import mammogram_file, with_elements


def anatomy() -> np.ndarray[Any, Any]:
    """H x W attenuation: a half disc of breast that thins out to the skin, dense blobs, and air."""
    y, x = np.mgrid[:320, :256]
    radius = np.hypot(x / 190, (y - 160) / 140)
    thickness = np.clip((1 - radius) * 4, 0, 1)
    blobs = cv2.GaussianBlur(np.random.default_rng(1).normal(size=(320, 256)), (0, 0), 4)
    return thickness * (1.5 + 2.5 * blobs)


def counts(*, falling: bool = False) -> np.ndarray[Any, Any]:
    linear = np.round(16000 * np.exp(-anatomy())).astype(np.uint16)
    return (16383 - linear).astype(np.uint16) if falling else linear


def raw_file(stored: np.ndarray[Any, Any], **elements: Any) -> bytes:
    described = {
        "PresentationIntentType": "FOR PROCESSING",
        "PixelIntensityRelationship": "LIN",
        "PixelIntensityRelationshipSign": 1,
    }
    return with_elements(mammogram_file(stored, bits=14), **(described | elements))


def breast() -> np.ndarray[Any, Any]:
    return anatomy() > 0.2


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_raw_counts_become_a_picture_with_dense_tissue_bright_and_air_black(
    falling: bool, photometric: str
) -> None:
    data = raw_file(
        counts(falling=falling),
        PixelIntensityRelationshipSign=-1 if falling else 1,
        PhotometricInterpretation=photometric,
    )
    mammogram = read_mammogram(data, convert_for_processing=True)
    assert mammogram.converted
    assert mammogram.depth == 14
    pixels = mammogram.pixels
    assert pixels.shape == (320, 256)
    assert pixels[:, 240:].max() < 0.01
    inner = cv2.erode(breast().astype(np.uint8), np.ones((25, 25))) > 0
    assert np.corrcoef(pixels[inner], anatomy()[inner])[0, 1] > 0.8


def test_the_thin_edge_is_lifted_towards_the_middle() -> None:
    pixels = read_mammogram(raw_file(counts()), convert_for_processing=True).pixels
    y, x = np.mgrid[:320, :256]
    radius = np.hypot(x / 190, (y - 160) / 140)
    edge, middle = (radius > 0.82) & (radius < 0.88), radius < 0.5
    before = anatomy()[edge].mean() / anatomy()[middle].mean()
    assert pixels[edge].mean() / pixels[middle].mean() > before + 0.1


def test_logarithmic_counts_are_not_taken_the_logarithm_of_again() -> None:
    logarithm = np.round(anatomy() / anatomy().max() * 16000).astype(np.uint16)
    data = raw_file(logarithm, PixelIntensityRelationship="LOG", PixelIntensityRelationshipSign=-1)
    pixels = read_mammogram(data, convert_for_processing=True).pixels
    inner = cv2.erode(breast().astype(np.uint8), np.ones((25, 25))) > 0
    assert np.corrcoef(pixels[inner], anatomy()[inner])[0, 1] > 0.8


def test_the_twin_of_raw_counts_is_the_same_picture() -> None:
    twin = display_twin(raw_file(counts()), convert_for_processing=True)
    assert twin[:, 240:].max() == 0
    assert np.ptp(twin[breast()]) > 150


def test_a_presentation_image_is_not_converted_even_when_asked() -> None:
    data = mammogram_file()
    asked, plain = read_mammogram(data, convert_for_processing=True), read_mammogram(data)
    assert not asked.converted
    np.testing.assert_array_equal(asked.pixels, plain.pixels)
