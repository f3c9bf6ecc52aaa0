"""Pixel spacing in the breast, from the attributes of a DICOM file or from the caller."""

from __future__ import annotations

import math

from pydicom.dataset import Dataset

from mammo.dicom.dataset import strict_numbers
from mammo.errors import UnreadableImage
from mammo.geometry import Spacing
from mammo.stated_facts import PLAUSIBLE_MM

ATTRIBUTES = ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing")


def spacing_of(dataset: Dataset, *, given: float | Spacing | None) -> Spacing | None:
    """Return the spacing and its source; None when no plausible one is available.

    The first plausible value counts, in this order: ImagerPixelSpacing (at the detector, type 1 in MG) divided by
    EstimatedRadiographicMagnificationFactor; PixelSpacing; NominalScannedPixelSpacing (digitised film); `given`. Values
    outside `PLAUSIBLE_MM` are ignored.

    Raises:
        UnreadableImage: no attribute is plausible, and one is not a number (`not_a_number`).
    """
    factor = _magnification(dataset)
    sources = ("imager" if factor == 1 else "imager/magnification", "pixel", "scanned")
    problem: UnreadableImage | None = None
    for keyword, source, divisor in zip(ATTRIBUTES, sources, (factor, 1.0, 1.0), strict=True):
        try:
            spacing = _spacing(strict_numbers(dataset, keyword), source, divisor)
        except UnreadableImage as error:
            problem = problem or error
            continue
        if spacing is not None:
            return spacing
    if problem is not None:
        raise problem
    return given_spacing(given)


def given_spacing(given: float | Spacing | None) -> Spacing | None:
    """The spacing given by the caller; None when missing or implausible."""
    if given is None:
        return None
    values = (given.row_mm, given.column_mm) if isinstance(given, Spacing) else (given, given)
    return _spacing(values, "given")


def _magnification(dataset: Dataset) -> float:
    """Magnification factor, 1 (contact) to 3; 1 when implausible."""
    values = strict_numbers(dataset, "EstimatedRadiographicMagnificationFactor")
    return values[0] if len(values) == 1 and 1 <= values[0] <= 3 else 1.0


def _spacing(values: tuple[float, ...], source: str, divisor: float = 1.0) -> Spacing | None:
    """One value for both axes, or row and column spacing; None when implausible."""
    low, high = PLAUSIBLE_MM
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2 or not all(math.isfinite(value) and low <= value <= high for value in values):
        return None
    return Spacing(values[0] / divisor, values[1] / divisor, source)
