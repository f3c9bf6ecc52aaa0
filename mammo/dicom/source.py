"""DicomSource: the DICOM identifiers of a mammogram, which results refer to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileDataset

from mammo.dicom.dataset import text

UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
"""A well-formed UID (PS3.5 chapter 9): numbers separated by dots."""

MAX_UID = 64


@dataclass(frozen=True, kw_only=True)
class DicomSource:
    """Identifiers of one image. They may identify the patient: never put them into a log, a URL or a file name."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


def source_of(dataset: FileDataset) -> DicomSource | None:
    """The source of a data set; None unless all three instance UIDs are well formed."""
    instance, series, study = (
        uid_of(dataset, keyword) for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    )
    if not (instance and series and study):
        return None
    return DicomSource(
        sop_class_uid=uid_of(dataset, "SOPClassUID") or "",
        sop_instance_uid=instance,
        series_instance_uid=series,
        study_instance_uid=study,
    )


def uid_of(dataset: Dataset, keyword: str) -> str | None:
    """The UID in an element; None when missing or malformed."""
    value = text(dataset, keyword)
    return value if len(value) <= MAX_UID and UID.fullmatch(value) else None
