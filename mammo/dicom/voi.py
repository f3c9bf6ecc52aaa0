"""Values of interest (VOI): the grey scale of the display (PS3.3 C.11.2), applied to tables of modality values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from mammo.dicom.dataset import first_item, integer, numbers, payload, text

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
Values = npt.NDArray[np.float64]

PERCENTILES = (1.0, 99.5)
"""Ends of the window for files without one: percentiles of the pixels that are neither padding nor air."""

MAX_WINDOW = 1e9
"""Largest plausible window centre and width; a file beyond it is displayed by percentiles."""


@dataclass(frozen=True)
class Window:
    """A VOI window (PS3.3 C.11.2.1.2 and C.11.2.1.3), in modality values."""

    centre: float
    width: float
    function: Function = "LINEAR"

    def apply(self, values: Values) -> Values:
        """Map modality values to grey in [0, 1]."""
        match self.function:
            case "LINEAR":
                if self.width <= 1:
                    return (values > self.centre - 0.5).astype(np.float64)
                return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)
            case "LINEAR_EXACT":
                return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
            case "SIGMOID":
                exponent = np.clip(-4 * (values - self.centre) / self.width, -500, 500)
                return 1 / (1 + np.exp(exponent))


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A VOI LUT (C.11.2.1.1): `outputs[i]` is the grey of modality value `first + i`; values beyond are clipped."""

    first: int
    outputs: Values

    def apply(self, values: Values) -> Values:
        """Map modality values to grey in [0, 1]."""
        return self.outputs[np.clip(values - self.first, 0, len(self.outputs) - 1).astype(np.intp)]


def voi_of(dataset: Dataset) -> Window | LookupTable | None:
    """The first valid window, else the first VOI LUT, else None."""
    return _window(dataset) or _lookup_table(dataset)


def percentile_window(
    levels: npt.NDArray[np.uint16], values: Values, *, padding: npt.NDArray[np.bool_] | None
) -> Window:
    """Compute a window that spans most of the breast, for files without one.

    Args:
        levels: H x W, indices into `values`.
        values: modality value of each level.
        padding: H x W, True in padding; None without padding.
    """
    counted = levels.ravel() if padding is None else levels[~padding]
    counts = np.bincount(counted, minlength=len(values)).astype(np.float64)
    present = np.flatnonzero(counts)
    if present.size > 1:  # air is the more frequent of the two extreme levels
        counts[present[-1] if counts[present[-1]] > counts[present[0]] else present[0]] = 0
    share = np.cumsum(counts) / max(counts.sum(), 1)
    last = len(values) - 1
    low, high = (
        float(values[min(int(np.searchsorted(share, percent / 100)), last)]) for percent in PERCENTILES
    )
    low, high = min(low, high), max(low, high)
    return Window((low + high) / 2, max(high - low, 1), "LINEAR_EXACT")


def _window(dataset: Dataset) -> Window | None:
    declared = text(dataset, "VOILUTFunction").upper()
    function: Function = "LINEAR"
    if declared == "SIGMOID":
        function = "SIGMOID"
    elif declared == "LINEAR_EXACT":
        function = "LINEAR_EXACT"
    min_width = 1.0 if function == "LINEAR" else 0.0
    for centre, width in zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False):
        if min_width <= width <= MAX_WINDOW and width > 1 / MAX_WINDOW and abs(centre) <= MAX_WINDOW:
            return Window(centre, width, function)
    return None


def _lookup_table(dataset: Dataset) -> LookupTable | None:
    item = first_item(dataset, "VOILUTSequence")
    if item is None:
        return None
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    if any(abs(part) > 2**16 for part in descriptor):
        return None
    length, first, bits = (int(part) for part in descriptor)
    length = length or 2**16
    raw = payload(item, "LUTData")
    wide = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2") if raw else np.asarray(numbers(item, "LUTData"))
    outputs = np.frombuffer(raw, np.uint8) if len(raw) in (length, length + 1) else wide
    if not 0 < length <= len(outputs) or not 1 <= bits <= 16:
        return None
    if integer(dataset, "PixelRepresentation") == 1 and first >= 2**15:
        first -= 2**16
    return LookupTable(first, np.clip(outputs[:length] / (2.0**bits - 1), 0, 1))
