"""Reads a file into a Mammogram (step 1 of the walk)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mammo.dicom.dataset import is_dicom
from mammo.dicom.dicom_file import read_dicom
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.dicom.mammogram import Mammogram
from mammo.dicom.patient import patient_key
from mammo.dicom.plain_file import is_plain, not_an_image, read_plain
from mammo.dicom.stored_image import StoredImage
from mammo.geometry import Spacing


def read_mammogram(
    source: Path | bytes,
    *,
    spacing: float | Spacing | None = None,
    patient_secret: bytes | None = None,
    max_bytes: int = MAX_BYTES,
    convert_for_processing: bool = False,
) -> Mammogram:
    """Read a DICOM file (MG For Presentation, DX, CR, SC) or a PNG, JPEG, TIFF or PGM.

    Args:
        source: a path, or the bytes of a file.
        spacing: mm per pixel, for both axes or each; used only when the file states no plausible spacing.
        patient_secret: secret of `patient_key`; without it the mammogram has no patient key.
        max_bytes: maximum size of the file, and of the inflated data set.
        convert_for_processing: convert raw detector values for presentation and set `converted`, instead of refusing
            them.

    Raises:
        UnreadableImage: the file is damaged, no image, or exceeds a limit; `code` names the failed check.
        UnsupportedImage: the file is valid, but of an unsupported kind, such as tomosynthesis, CT or colour.
    """
    data = read_bytes(source, max_bytes=max_bytes)
    stored = read_stored(
        data, spacing=spacing, max_bytes=max_bytes, convert_for_processing=convert_for_processing
    )
    has_patient = bool(patient_secret and stored.patient_id)
    return Mammogram(
        pixels=stored.pixels(),
        spacing=stored.spacing,
        laterality=stored.laterality,
        view=stored.view,
        patient=patient_key(stored.patient_id, patient_secret) if patient_secret and has_patient else None,
        sha256=hashlib.sha256(data).hexdigest(),
        depth=stored.depth,
        converted=stored.converted,
        turned=stored.turned,
        source=stored.source,
    )


def read_stored(
    data: bytes, *, spacing: float | Spacing | None, max_bytes: int, convert_for_processing: bool = False
) -> StoredImage:
    """Detect the file format from the first bytes and read the file; raises the errors of `read_mammogram`."""
    if is_dicom(data):
        return read_dicom(
            data, spacing=spacing, max_bytes=max_bytes, convert_for_processing=convert_for_processing
        )
    if is_plain(data):
        return read_plain(data, spacing=spacing)
    raise not_an_image()
