"""Intake: everything that an import needs of a file, from reading and decoding it once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo.dicom.identity import mentions
from mammo.dicom.limits import MAX_BYTES
from mammo.dicom.mammogram import Laterality
from mammo.dicom.patient import patient_key
from mammo.dicom.reading import read_stored
from mammo.file_names import require_text
from mammo.geometry import Spacing


@dataclass(frozen=True, kw_only=True, eq=False)
class Intake:
    """Display twin, attributes and identity check of one file. Holds no identifier of the patient, only a key."""

    twin: npt.NDArray[np.uint8]
    """H x W; see `display_twin`."""

    sha256: str
    """Of the file's bytes, hexadecimal."""

    patient: str | None
    """Patient key; None without a PatientID."""

    laterality: Laterality | None
    view: str | None
    spacing: Spacing | None

    converted: bool
    """Whether raw detector values (For Processing) were converted."""

    turned: bool
    """Whether the orientation of the file was applied; not every program does so."""

    identifying: tuple[str, ...]
    """Keywords of the attributes that identify a person, for the message of a refusal."""

    named_in_path: bool
    """Whether the path contains the name, the ID or the birth date."""


def read_intake(
    data: bytes,
    *,
    path: str,
    patient_secret: bytes,
    max_bytes: int = MAX_BYTES,
    convert_for_processing: bool = False,
) -> Intake:
    """Read one file for an import.

    Args:
        data: the file.
        path: as it would appear in a task; searched for identifiers of the patient.
        patient_secret: see `patient_key`.
        max_bytes, convert_for_processing: see `read_mammogram`.

    Raises:
        UnreadableImage, UnsupportedImage: see `read_mammogram`; `file_name` when the path is not valid text.
    """
    require_text(path)
    stored = read_stored(
        data, spacing=None, max_bytes=max_bytes, convert_for_processing=convert_for_processing
    )
    return Intake(
        twin=stored.display(),
        sha256=hashlib.sha256(data).hexdigest(),
        patient=patient_key(stored.patient_id, patient_secret) if stored.patient_id else None,
        laterality=stored.laterality,
        view=stored.view,
        spacing=stored.spacing,
        converted=stored.converted,
        turned=stored.turned,
        identifying=stored.identifying,
        named_in_path=mentions(path, stored.identifiers),
    )
