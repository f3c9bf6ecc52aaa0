"""Millimetres per pixel in the breast, from whichever attribute a file offers."""

from __future__ import annotations

import math

from pydicom.dataset import Dataset

from mammo.dicom.dataset import written_numbers
from mammo.errors import UnreadableImage
from mammo.geometry import Spacing
from mammo.stated_facts import PLAUSIBLE_MM

ATTRIBUTES = ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing")


def spacing_of(dataset: Dataset, *, given: float | Spacing | None) -> Spacing | None:
    """Return the spacing and its source, or None when nothing plausible is known.

    Order: ImagerPixelSpacing (at the detector, type 1 in MG) divided by EstimatedRadiographicMagnificationFactor;
    PixelSpacing; NominalScannedPixelSpacing (digitised film); `given`. A value outside `PLAUSIBLE_MM` is passed over.

    Raises:
        UnreadableImage: an attribute holds text that is no number, and none before it says it (code `not_a_number`).
    """
    factor = _magnification(dataset)
    sources = ("imager" if factor == 1 else "imager/magnification", "pixel", "scanned")
    problem: UnreadableImage | None = None
    for keyword, source, divisor in zip(ATTRIBUTES, sources, (factor, 1.0, 1.0), strict=True):
        try:
            spacing = _spacing(written_numbers(dataset, keyword), source, divisor)
        except UnreadableImage as error:
            problem = problem or error
            continue
        if spacing is not None:
            return spacing
    if problem is not None:
        raise problem
    return given_spacing(given)


def given_spacing(given: float | Spacing | None) -> Spacing | None:
    """The caller's figure as a spacing; None when there is none or it is implausible."""
    if given is None:
        return None
    values = (given.row_mm, given.column_mm) if isinstance(given, Spacing) else (given, given)
    return _spacing(values, "given")


def _magnification(dataset: Dataset) -> float:
    """1 (contact) to 2 (magnification views); anything else is not believed."""
    values = written_numbers(dataset, "EstimatedRadiographicMagnificationFactor")
    return values[0] if len(values) == 1 and 1 <= values[0] <= 3 else 1.0


def _spacing(values: tuple[float, ...], source: str, divisor: float = 1.0) -> Spacing | None:
    low, high = PLAUSIBLE_MM
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2 or not all(math.isfinite(value) and low <= value <= high for value in values):
        return None
    return Spacing(values[0] / divisor, values[1] / divisor, source)
