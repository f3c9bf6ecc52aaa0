"""DicomSource: where a mammogram stands among DICOM objects, so that results made from it can point back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import FileDataset

from mammo.dicom.dataset import text

UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
"""A UID of PS3.5 chapter 9: numbers and dots. Anything else, such as a path, is not one."""

MAX_UID = 64
ORIENTATION = re.compile(r"[APRLHF]{1,3}")


@dataclass(frozen=True, kw_only=True)
class DicomSource:
    """Identifiers of one image. They may lead to the patient: into results, never into a log, a URL or a file name."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str

    frame_of_reference_uid: str | None = None
    """None in most mammograms: a projection has no frame of reference in the patient."""

    patient_orientation: tuple[str, str] | None = None
    """Towards which side of the patient a row runs, and a column: `("A", "R")`; A P R L H F, up to three letters."""


def source_of(dataset: FileDataset) -> DicomSource | None:
    """The source of a data set; None unless all three instance UIDs are well formed."""
    instance, series, study = (
        _uid(dataset, keyword) for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    )
    if not (instance and series and study):
        return None
    sides = tuple(text(dataset, "PatientOrientation").split("\\"))
    oriented = len(sides) == 2 and all(ORIENTATION.fullmatch(side) for side in sides)
    return DicomSource(
        sop_class_uid=_uid(dataset, "SOPClassUID") or "",
        sop_instance_uid=instance,
        series_instance_uid=series,
        study_instance_uid=study,
        frame_of_reference_uid=_uid(dataset, "FrameOfReferenceUID"),
        patient_orientation=(sides[0], sides[1]) if oriented else None,
    )


def _uid(dataset: FileDataset, keyword: str) -> str | None:
    found = text(dataset, keyword)
    return found if len(found) <= MAX_UID and UID.fullmatch(found) else None
