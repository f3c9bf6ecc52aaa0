from __future__ import annotations

from typing import Any

import pytest

from mammo.dicom import read_mammogram
from mammo.errors import UnreadableImage
from mammo.geometry import Spacing
from tests.mammo.dicom.files import mammogram_file, with_elements


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, Spacing(0.07, 0.07, "imager")),
        ({"PixelSpacing": ["0.05", "0.05"]}, Spacing(0.07, 0.07, "imager")),
        ({"EstimatedRadiographicMagnificationFactor": "1.75"}, Spacing(0.04, 0.04, "imager/magnification")),
        ({"EstimatedRadiographicMagnificationFactor": "0"}, Spacing(0.07, 0.07, "imager")),
        ({"ImagerPixelSpacing": ["0.1", "0.08"]}, Spacing(0.1, 0.08, "imager")),
        ({"ImagerPixelSpacing": None, "PixelSpacing": ["0.05", "0.06"]}, Spacing(0.05, 0.06, "pixel")),
        ({"ImagerPixelSpacing": ["0", "0"], "PixelSpacing": ["0.05", "0.05"]}, Spacing(0.05, 0.05, "pixel")),
        (
            {"ImagerPixelSpacing": None, "NominalScannedPixelSpacing": ["0.0435", "0.0435"]},
            Spacing(0.0435, 0.0435, "scanned"),
        ),
        ({"ImagerPixelSpacing": ["70", "70"]}, Spacing(0.09, 0.09, "given")),
        ({"ImagerPixelSpacing": None}, Spacing(0.09, 0.09, "given")),
    ],
)
def test_the_best_plausible_spacing_wins(elements: dict[str, Any], expected: Spacing) -> None:
    spacing = read_mammogram(with_elements(mammogram_file(), **elements), spacing=0.09).spacing
    assert spacing is not None
    assert spacing.source == expected.source
    assert (spacing.row_mm, spacing.column_mm) == pytest.approx((expected.row_mm, expected.column_mm))


@pytest.mark.parametrize("text", [b"NaN ", b"1e99", b"-.07"])
def test_an_implausible_spacing_is_no_spacing(text: bytes) -> None:
    data = mammogram_file(spacing_mm=0.07)
    assert data.count(b"0.07\\0.07 ") == 1
    hostile = data.replace(b"0.07\\0.07 ", text + b"\\" + text + b" ")
    assert read_mammogram(hostile).spacing is None


@pytest.mark.parametrize("given", [float("nan"), 0.0, 70.0, -0.07])
def test_a_given_spacing_is_not_believed_either_when_implausible(given: float) -> None:
    assert read_mammogram(with_elements(ImagerPixelSpacing=None), spacing=given).spacing is None


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"])
def test_a_decimal_comma_is_read(keyword: str) -> None:
    data = with_elements(mammogram_file(), **({"ImagerPixelSpacing": None} | {keyword: ["0.05", "0.08"]}))
    assert data.count(b"0.05\\0.08 ") == 1
    spacing = read_mammogram(data.replace(b"0.05\\0.08 ", b"0,05\\0,08 ")).spacing
    assert spacing is not None
    assert (spacing.row_mm, spacing.column_mm) == (0.05, 0.08)


def test_a_magnification_with_a_decimal_comma_counts() -> None:
    data = with_elements(mammogram_file(), EstimatedRadiographicMagnificationFactor="1.75")
    assert data.count(b"1.75") == 1
    spacing = read_mammogram(data.replace(b"1.75", b"1,75")).spacing
    assert spacing is not None
    assert spacing.row_mm == pytest.approx(0.04)


@pytest.mark.parametrize("text", [b"wide\\wide", b"0.07\\wide", b"0.0.7\\,7,", b"0.07\\    "])
def test_a_spacing_that_is_no_number_refuses_the_file_unless_another_attribute_says_it(text: bytes) -> None:
    data = mammogram_file(spacing_mm=0.07)
    assert data.count(b"0.07\\0.07 ") == 1
    hostile = data.replace(b"0.07\\0.07 ", text.ljust(10))
    with pytest.raises(UnreadableImage, match="ImagerPixelSpacing is not a number"):
        read_mammogram(hostile, spacing=0.09)
    more = with_elements(data, PixelSpacing=["0.05", "0.05"]).replace(b"0.07\\0.07 ", text.ljust(10))
    spacing = read_mammogram(more).spacing
    assert spacing is not None
    assert spacing.source == "pixel"


def test_rows_and_columns_may_be_given_apart() -> None:
    apart = Spacing(0.05, 0.08, "given")
    assert read_mammogram(with_elements(ImagerPixelSpacing=None), spacing=apart).spacing == apart
