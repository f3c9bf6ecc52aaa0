"""StoredImage: the stored values of a file, before a grey scale is applied."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mammo.dicom.identity import Identifiers
from mammo.dicom.mammogram import Laterality
from mammo.dicom.source import DicomSource
from mammo.dicom.voi import LookupTable, Window, percentile_window
from mammo.geometry import Spacing
from mammo.pixels import Pixels

STRIP = 64
"""Rows per table lookup: numpy widens indices to 64 bits, and those of a strip fit into the cache."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredImage:
    """Pixels and attributes of one file; private to this package, because it holds the PatientID."""

    levels: npt.NDArray[np.uint16]
    """H x W in [0, 2**depth - 1]; signed values are shifted so that the lowest is 0."""

    depth: int
    """Bits per level."""

    offset: int = 0
    """Stored value of level 0: 0, or -2**(depth - 1) for signed pixels."""

    slope: float = 1.0
    intercept: float = 0.0
    """Modality value = slope * stored value + intercept (1 and 0 in every conformant mammogram)."""

    inverted: bool = False
    """Whether low modality values are bright (MONOCHROME1)."""

    padding: npt.NDArray[np.bool_] | None = None
    """H x W, True where the file marks padding."""

    voi: Window | LookupTable | None = None
    spacing: Spacing | None = None
    laterality: Laterality | None = None
    view: str | None = None
    patient_id: str = ""
    identifying: tuple[str, ...] = ()
    """Keywords of the attributes that identify a person; see `identity.identifying`."""

    identifiers: Identifiers = field(default=Identifiers(), repr=False)
    """Name, ID and birth date, for comparison only."""

    source: DicomSource | None = None
    converted: bool = False
    """Whether raw detector values (For Processing) were converted."""

    turned: bool = False
    """Whether an orientation stated in the file was applied."""

    def pixels(self) -> Pixels:
        """H x W float32 in [0, 1], dense tissue bright, full depth; padding is 0."""
        top = 2**self.depth - 1
        # A negative slope inverts the grey scale a second time.
        is_inverted = self.inverted != (self.slope < 0)
        pixels = self.levels.astype(np.float32)
        if is_inverted:
            np.subtract(np.float32(top), pixels, out=pixels)
        pixels /= np.float32(top)
        if self.padding is not None:
            pixels[self.padding] = 0
        return pixels

    def display(self) -> npt.NDArray[np.uint8]:
        """H x W grey levels by the VOI transformation, dense tissue bright; padding is 0.

        The grey level of every possible value (at most 65 536) is computed once and looked up; computing that of 8 to
        14 million pixels in float64 would take five times as long.
        """
        stored = np.arange(2**self.depth, dtype=np.float64) + self.offset
        values = stored * self.slope + self.intercept
        voi: Window | LookupTable | None = self.voi
        if voi is None:
            voi = percentile_window(self.levels, values, padding=self.padding)
        grey = voi.apply(values)
        if self.inverted:
            grey = 1 - grey
        table = np.round(grey * 255).astype(np.uint8)
        twin = np.empty(self.levels.shape, np.uint8)
        for top in range(0, len(twin), STRIP):
            np.take(table, self.levels[top : top + STRIP], out=twin[top : top + STRIP], mode="clip")
        if self.padding is not None:
            twin[self.padding] = 0
        return twin
