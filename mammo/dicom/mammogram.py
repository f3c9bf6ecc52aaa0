"""Mammogram: the pixels of one view and their attributes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mammo.dicom.source import DicomSource
from mammo.geometry import Size, Spacing
from mammo.pixels import Pixels, size_of

Laterality = Literal["L", "R"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mammogram:
    """One view of one breast. Holds no identifier of the patient, only a patient key."""

    pixels: Pixels
    """H x W, float32 in [0, 1]: stored value / (2**depth - 1), inverted once for MONOCHROME1; padding is 0."""

    spacing: Spacing | None
    """Pixel spacing; None when no plausible one is available."""

    laterality: Laterality | None
    """L or R; None when the file does not state it."""

    view: str | None
    """DICOM's abbreviation of the view, such as `CC`, `MLO` or `ML`."""

    patient: str | None
    """Patient key (see `patient_key`); None without a PatientID or without a secret."""

    sha256: str
    """Of the file's bytes, hexadecimal."""

    depth: int
    """Bits per stored value."""

    converted: bool = False
    """Whether the pixels were converted from raw detector values (For Processing)."""

    turned: bool = False
    """Whether an orientation stated in the file was applied to the pixels."""

    source: DicomSource | None = field(default=None, repr=False)
    """Identifiers that results refer to; None for plain images and malformed UIDs."""

    @property
    def size(self) -> Size:
        return size_of(self.pixels)
