"""Mammogram: the pixels of one view and the few facts about them that the rest of the system needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mammo.dicom.source import DicomSource
from mammo.geometry import Size, Spacing
from mammo.pixels import Pixels, size_of

Laterality = Literal["L", "R"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mammogram:
    """One view of one breast. Holds no identifier of the patient, only a key."""

    pixels: Pixels
    """H x W, float32 in [0, 1]: stored value / (2**depth - 1), inverted once for MONOCHROME1; padding is 0."""

    spacing: Spacing | None
    """Millimetres between pixels; None when nothing plausible is known."""

    laterality: Laterality | None
    """The breast, L or R."""

    view: str | None
    """`CC`, `MLO`, `ML` ...: DICOM's short name of the projection."""

    patient: str | None
    """Patient key (see `patient_key`); None without a PatientID or without a secret."""

    sha256: str
    """Of the file's bytes, hexadecimal."""

    depth: int
    """Bits of the stored values."""

    converted: bool = False
    """True when the pixels are raw detector values (For Processing) that were made presentable on request."""

    source: DicomSource | None = field(default=None, repr=False)
    """Where results made from it point back to; None for plain images and malformed UIDs."""

    @property
    def size(self) -> Size:
        return size_of(self.pixels)
