"""Case: one mammogram with its truth, the unit of training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mammo.dicom import Mammogram
from mammo.findings import Finding

Progress = Callable[[float, str], None]
"""Told how far a stage is, in [0, 1], with a short message; may raise `Cancelled` to stop it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mammogram and what is truly in it."""

    image: str
    """SHA-256 of the image file, hexadecimal: the identity of the pixels."""

    patient: str
    """Patient key: groups the views of one person; never a name or an identifier from the hospital."""

    read: Callable[[], Mammogram]
    """Reads the pixels; called once per pass, nothing is cached here."""

    truth: tuple[Finding, ...]
    """Clusters a person confirmed (boxes and masks); empty for a normal mammogram."""


def silent(fraction: float, message: str) -> None:
    """A `Progress` that tells nobody."""
