"""InstanceIdentity: whose image a file is, and which one."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.dicom.dataset import is_dicom, open_dataset, text
from mammo.dicom.limits import MAX_BYTES
from mammo.dicom.source import uid_of
from mammo.errors import UnreadableImage

TAGS = [
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID",
    "FrameOfReferenceUID", "PatientID", "IssuerOfPatientID",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InstanceIdentity:
    """Identifiers of one DICOM file, as it states them: they identify a patient."""

    patient_id: str
    """Empty without one."""

    issuer: str
    """Issuer of the PatientID; empty without one."""

    study: str
    series: str
    instance: str
    sop_class: str

    frame_of_reference: str
    """Empty without one."""

    def __repr__(self) -> str:
        return "InstanceIdentity(...)"


def read_instance_identity(data: bytes, *, max_bytes: int = MAX_BYTES) -> InstanceIdentity:
    """Read the identifiers of a file, and no pixel.

    Raises:
        UnreadableImage: the bytes are no DICOM file or a damaged one, or lack one of its UIDs (`missing_attribute`).
    """
    if not is_dicom(data):
        raise UnreadableImage("expected a DICOM file", code="parse")
    dataset = open_dataset(data, max_bytes=max_bytes, tags=TAGS)
    uids = {
        name: uid_of(dataset, keyword)
        for name, keyword in {
            "study": "StudyInstanceUID",
            "series": "SeriesInstanceUID",
            "instance": "SOPInstanceUID",
            "sop_class": "SOPClassUID",
        }.items()
    }
    present = {name: value for name, value in uids.items() if value is not None}
    if len(present) < len(uids):
        raise UnreadableImage(
            "the DICOM file lacks a well-formed instance, study, series or class UID",
            code="missing_attribute",
        )
    return InstanceIdentity(
        patient_id=text(dataset, "PatientID"),
        issuer=text(dataset, "IssuerOfPatientID"),
        frame_of_reference=uid_of(dataset, "FrameOfReferenceUID") or "",
        **present,
    )
