"""Intake: a file as an import needs it, read and decoded once: its picture, its facts, and who it still names."""

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
    """What a task is made of. Holds no identifier of the patient, only a key."""

    twin: npt.NDArray[np.uint8]
    """H x W, as `display_twin`."""

    sha256: str
    patient: str | None
    """Patient key; None without a PatientID."""

    laterality: Laterality | None
    view: str | None
    spacing: Spacing | None

    converted: bool
    """True when raw detector values were made presentable."""

    turned: bool
    """True when the picture was turned as its file says, and not every program does so."""

    identifying: tuple[str, ...]
    """Keywords of the attributes that name a person, for a sentence that says why the file is refused."""

    named_in_path: bool
    """True when the path given to `take_in` contains the name, the ID or the birth date."""


def take_in(
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
        path: as it would appear in a task; looked at for the patient's name, and refused when it is no text.
        patient_secret: key of the patient keys.
        convert_for_processing: as in `read_mammogram`.

    Raises:
        UnreadableImage, UnsupportedImage: as `read_mammogram`; or `file_name`.
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
