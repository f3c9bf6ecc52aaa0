"""ImageHeader: what groups images into exams, read from a file without decoding a pixel."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from mammo.dicom import projection
from mammo.dicom.dataset import is_dicom, open_dataset, text
from mammo.dicom.dicom_file import is_for_processing
from mammo.dicom.identity import identifiers, identifying, mentions
from mammo.dicom.limits import MAX_BYTES
from mammo.dicom.mammogram import Laterality
from mammo.dicom.patient import patient_key
from mammo.dicom.plain_file import is_plain, not_an_image
from mammo.dicom.source import uid_of
from mammo.dicom.spacing import spacing_of
from mammo.errors import InvalidTaskData, UnreadableImage
from mammo.file_names import require_text
from mammo.geometry import Spacing
from mammo.identifiers import identifier

DAY = re.compile(r"\d{8}")
AGE = re.compile(r"(\d{3})Y")
YOUNGEST, OLDEST = 30, 90
"""Ages below and from which all patients share a band: few have a mammogram at these ages."""


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """Patient, study, date and view of one file. Holds no identifier of the patient, only keys."""

    sha256: str
    """Of the file's bytes, hexadecimal."""

    patient: str | None = None
    """Patient key; None without a PatientID."""

    study: str | None = None
    """Keyed digest of the StudyInstanceUID; None without one."""

    day: str = field(default="", repr=False)
    """StudyDate as YYYYMMDD; empty without a valid one. For comparison and order: it belongs in no task."""

    laterality: Laterality | None = None
    view: str | None = None

    modifier: str = ""
    """What distinguishes the view from the standard one, such as `spot compression`; empty for a standard view."""

    spacing: Spacing | None = None
    """Pixel spacing in the breast and its source; None if the file states no plausible one."""

    age_band: str = ""
    """Age in a band of ten years, such as `60-69`; empty if unknown."""

    identifying: tuple[str, ...] = ()
    """Keywords of the attributes that identify a person."""

    named_in_path: bool = False
    """Whether the path contains the name, the ID or the birth date."""


def read_header(
    data: bytes, *, path: str, patient_secret: bytes, convert_for_processing: bool = False
) -> ImageHeader:
    """Read the header of a DICOM file. A plain image (PNG, JPEG, TIFF, PGM) has none: every fact is missing.

    Args:
        data: the file.
        path: as it would appear in a task; searched for identifiers of the patient.
        patient_secret: see `patient_key`.
        convert_for_processing: accept raw detector values.

    Raises:
        UnreadableImage, UnsupportedImage: the file cannot be parsed, or is no 2-D mammogram; see `read_mammogram`.
    """
    require_text(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if not is_dicom(data):
        if not is_plain(data):
            raise not_an_image()
        return ImageHeader(sha256=sha256)
    dataset = open_dataset(data, max_bytes=MAX_BYTES)
    if is_for_processing(dataset) and not convert_for_processing:
        raise UnreadableImage(
            "got raw detector values (For Processing); send the For Presentation image, or give "
            "--convert-for-processing",
            code="for_processing",
        )
    try:
        patient = identifier(text(dataset, "PatientID"))
    except InvalidTaskData as error:
        raise UnreadableImage(f"PatientID: {error}", code="identifier") from None
    study, day = uid_of(dataset, "StudyInstanceUID"), text(dataset, "StudyDate")
    return ImageHeader(
        sha256=sha256,
        patient=patient_key(patient, patient_secret) if patient else None,
        study=patient_key(f"study {study}", patient_secret) if study else None,
        day=day if DAY.fullmatch(day) else "",
        laterality=projection.laterality(dataset),
        view=projection.view(dataset),
        modifier=projection.modifier(dataset),
        spacing=spacing_of(dataset, given=None),
        age_band=_age_band(text(dataset, "PatientAge")),
        identifying=identifying(dataset),
        named_in_path=mentions(path, identifiers(dataset)),
    )


def _age_band(age: str) -> str:
    match = AGE.fullmatch(age)
    if match is None:
        return ""
    years = int(match[1])
    if years < YOUNGEST:
        return f"under {YOUNGEST}"
    return f"{OLDEST} or older" if years >= OLDEST else f"{years // 10 * 10}-{years // 10 * 10 + 9}"
