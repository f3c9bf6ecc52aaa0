"""OwnImage: one of a site's own mammograms in the form in which it is stored, without any patient tag.

A DICOM file is stored as `mammo.deidentification` writes it: its stored values, bit depth, view and spacing are exact,
and it is the form in which a site's images become tasks. Any other file is stored as a grey PNG of the same values: a
PNG holds no EXIF or text block that could name somebody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mammo.deidentification.deidentify import Deidentifier
from mammo.dicom import Mammogram, encode_png, patient_key, read_intake, read_mammogram
from mammo.dicom.dataset import is_dicom
from mammo.errors import UnreadableImage
from mammo.exchange.task_data import require_deidentified
from mammo.geometry import Spacing

CONCERNS = {
    "text": "something that looks like text lies over the breast",
    "no_breast": "no breast is found in it",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnImage:
    """One image, ready to be stored."""

    content: bytes
    suffix: str
    """`.dcm` or `.png`."""

    spacing: Spacing
    patient: str
    """Patient key."""


@dataclass(frozen=True, kw_only=True)
class OwnImageRules:
    """How a site's own files are read."""

    spacing_mm: float | None
    """Pixel spacing of files that state none, in mm."""

    patient_secret: bytes
    """Secret of the patient keys and of the de-identification; at least 16 bytes."""

    allow_identified: bool
    """Accept DICOM files that identify their patient; what is stored of them does not."""

    max_bytes: int
    """Largest accepted file, in bytes."""


def read_own_image(data: bytes, patient: str | None, rules: OwnImageRules) -> OwnImage:
    """Read one file.

    Args:
        data: the file.
        patient: its patient's identifier in the table of the patients; None if the table does not name it. It takes
            precedence over the PatientID.
        rules: how it is read.

    Raises:
        UnreadableImage: see `read_mammogram`; or the file identifies its patient (code `identified`), shows text or no
            breast (codes `text`, `no_breast`), or has no patient (`no_patient`) or spacing (`no_spacing`).
    """
    key = patient_key(patient, rules.patient_secret) if patient else None
    if is_dicom(data):
        content, suffix, of_file = _deidentified(data, rules)
        key = key or of_file
    else:
        content, suffix = _as_png(read_mammogram(data, max_bytes=rules.max_bytes)), ".png"
    spacing = read_mammogram(content, spacing=rules.spacing_mm).spacing  # reads back what will be stored
    if spacing is None:
        raise UnreadableImage("the file states no pixel spacing; give it with --spacing", code="no_spacing")
    if key is None:
        raise UnreadableImage(
            "its patient is unknown, so that images of one patient could be on both sides of a split; "
            "name it in the table of --patients",
            code="no_patient",
        )
    return OwnImage(content=content, suffix=suffix, spacing=spacing, patient=key)


def _deidentified(data: bytes, rules: OwnImageRules) -> tuple[bytes, str, str | None]:
    """Return the de-identified file, its suffix, and the patient key of the original, which tasks have too."""
    intake = read_intake(data, path="", patient_secret=rules.patient_secret, max_bytes=rules.max_bytes)
    require_deidentified(intake, allow_identified=rules.allow_identified)
    result = Deidentifier(rules.patient_secret)(data, max_bytes=rules.max_bytes)
    if result.concern is not None:
        raise UnreadableImage(f"{CONCERNS[result.concern]}; leave it out", code=result.concern)
    return result.content, ".dcm", intake.patient


def _as_png(mammogram: Mammogram) -> bytes:
    """Encode 8 or 16 bits without loss."""
    levels = np.rint(mammogram.pixels * np.float32(2**mammogram.depth - 1))
    return encode_png(levels.astype(np.uint8 if mammogram.depth == 8 else np.uint16))
