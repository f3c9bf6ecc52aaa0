"""Millimetres per pixel in the breast, from whichever attribute a file offers."""

from __future__ import annotations

import math

from pydicom.dataset import Dataset

from mammo.dicom.dataset import numbers
from mammo.geometry import Spacing

PLAUSIBLE_MM = (0.01, 1.0)
"""Detectors of mammography lie between 0.05 and 0.1 mm, digitised film from 0.02 to 0.2 mm."""


def spacing_of(dataset: Dataset, *, given: float | None) -> Spacing | None:
    """Return the spacing and its source, or None when nothing plausible is known.

    Order: ImagerPixelSpacing (at the detector, type 1 in MG) divided by EstimatedRadiographicMagnificationFactor;
    PixelSpacing; NominalScannedPixelSpacing (digitised film); `given`. A value outside `PLAUSIBLE_MM` is passed over.
    """
    factor = _magnification(dataset)
    found = (
        _spacing(
            numbers(dataset, "ImagerPixelSpacing"),
            "imager" if factor == 1 else "imager/magnification",
            factor,
        ),
        _spacing(numbers(dataset, "PixelSpacing"), "pixel"),
        _spacing(numbers(dataset, "NominalScannedPixelSpacing"), "scanned"),
        given_spacing(given),
    )
    return next((spacing for spacing in found if spacing is not None), None)


def given_spacing(millimetres: float | None) -> Spacing | None:
    """The caller's figure as a spacing; None when there is none or it is implausible."""
    return None if millimetres is None else _spacing((millimetres, millimetres), "given")


def _magnification(dataset: Dataset) -> float:
    """1 (contact) to 2 (magnification views); anything else is not believed."""
    values = numbers(dataset, "EstimatedRadiographicMagnificationFactor")
    return values[0] if len(values) == 1 and 1 <= values[0] <= 3 else 1.0


def _spacing(values: tuple[float, ...], source: str, divisor: float = 1.0) -> Spacing | None:
    low, high = PLAUSIBLE_MM
    if len(values) != 2 or not all(math.isfinite(value) and low <= value <= high for value in values):
        return None
    return Spacing(values[0] / divisor, values[1] / divisor, source)
