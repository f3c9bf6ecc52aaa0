"""Gives a result back the patient and the study of the image that it is about, as the PACS states them.

A site's files may be de-identified, and results refer to them. Before a result goes to the PACS, the UIDs of its images
are replaced by the original ones, and patient and study are taken from the PACS's own attributes of the image.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammo.dicom.dataset import integer, text
from mammo.dicom.results import TYPE_2, ResultSource
from mammo.dicom.source import uid_of
from mammo.errors import PacsError, UnreadableImage
from mammo.identifiers import identifier

Header = Dataset
"""Attributes of an image without its pixels."""

PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID",
    "PatientBirthDate", "PatientBirthTime", "PatientSex", "OtherPatientIDsSequence", "EthnicGroup",
    "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "PatientAge", "PatientSize", "PatientWeight",
)  # fmt: skip
"""Attributes of patient and study (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2) that a result repeats."""

OF_THE_COPY = (
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "PatientComments",
)  # fmt: skip
"""Attributes of the de-identified copy, which would be untrue of the original."""


@dataclass(frozen=True, kw_only=True)
class ImageUids:
    """What identifies an image: as a site has it, or as the PACS has it."""

    study: str
    series: str
    instance: str


def referenced_images(data: bytes) -> list[ImageUids]:
    """Return the mammograms that a result of ours refers to, as the site's files are identified."""
    dataset = _read(data)
    if "ReferencedSeriesSequence" in dataset:  # a segmentation
        studies = [(dataset.StudyInstanceUID, dataset.ReferencedSeriesSequence, "ReferencedInstanceSequence")]
    else:
        studies = [
            (study.StudyInstanceUID, study.ReferencedSeriesSequence, "ReferencedSOPSequence")
            for study in dataset.CurrentRequestedProcedureEvidenceSequence
        ]
    return [
        ImageUids(
            study=str(study),
            series=str(series.SeriesInstanceUID),
            instance=str(image.ReferencedSOPInstanceUID),
        )
        for study, all_series, keyword in studies
        for series in all_series
        for image in series[keyword]
        if image.ReferencedSOPClassUID != dataset.SOPClassUID  # not the segmentation that this one replaces
    ]


def header_of(metadata: Mapping[str, Any], *, host: str) -> Header:
    """Parse an image's attributes as a PACS states them (DICOM JSON, PS3.18 F.2).

    Raises:
        PacsError: they cannot be parsed (`pacs_metadata`).
    """
    try:
        return Dataset.from_json({key: value for key, value in metadata.items() if not _is_bulk(value)})
    except Exception:  # whatever a server sends; the error may quote a value
        raise PacsError(
            f"the PACS at {host} describes an image by attributes that cannot be parsed", code="pacs_metadata"
        ) from None


def is_image(header: Header, instance: str, *, source: ResultSource | None, patient: str) -> bool:
    """Whether attributes are those of an image that a result refers to.

    Args:
        header: as `header_of` returns them.
        instance: SOPInstanceUID of the image at the PACS.
        source: the image as the site has it, whose size is compared; None: it is not.
        patient: PatientID at the PACS; empty: it is not compared.
    """
    size = integer(header, "Columns"), integer(header, "Rows")
    return (
        uid_of(header, "SOPInstanceUID") == instance
        and (source is None or size in ((source.width, source.height), (None, None)))
        and (not patient or identifier(patient) == identifier(text(header, "PatientID")))
    )


def reidentified(data: bytes, header: Header, originals: Mapping[str, str]) -> Dataset:
    """Return a result as an object of its image's patient and study.

    Args:
        data: a result of ours.
        header: the image's attributes, as `header_of` returns them.
        originals: UID of the site's copy -> original UID. Other UIDs stay: those of the result itself.

    Raises:
        UnreadableImage: an attribute of patient or study is damaged.
    """
    dataset = _read(data)
    for element in dataset.iterall():
        if element.VR == "UI" and isinstance(element.value, str):
            element.value = originals.get(str(element.value), str(element.value))
    _set_frame_of_reference(dataset, uid_of(header, "FrameOfReferenceUID"))
    for keyword in (*PATIENT_AND_STUDY, *OF_THE_COPY):
        if keyword in dataset:
            del dataset[keyword]
    try:
        for keyword in PATIENT_AND_STUDY:
            if keyword in header:
                dataset[keyword] = header[keyword]
            elif keyword in TYPE_2:
                setattr(dataset, keyword, None)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        _set_study_dates(dataset, text(header, "StudyDate"))
        pydicom.dcmwrite(io.BytesIO(), dataset)
    except Exception:  # whatever a server sends; the error may quote a value
        raise UnreadableImage(
            "patient or study of the image cannot be written into its result: an attribute is damaged in the PACS",
            code="parse",
        ) from None
    return dataset


def _read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def _set_frame_of_reference(dataset: Dataset, original: str | None) -> None:
    """Replace the frame of reference of the site's image wherever a result names it."""
    if original is None:
        return
    for item in (dataset, *_items(dataset)):
        if "FrameOfReferenceUID" in item:
            item.FrameOfReferenceUID = original
        if item.get("ValueType") == "UIDREF" and _is_named(item, codes.DCM.FrameOfReferenceUID):
            item.UID = original


def _set_study_dates(dataset: Dataset, day: str) -> None:
    """Set the study date of images in the image library of a CAD report; a de-identified one was shifted."""
    for item in _items(dataset):
        if item.get("ValueType") == "DATE" and _is_named(item, codes.DCM.StudyDate):
            item.Date = day


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """Yield all content items of a report."""
    for item in dataset.get("ContentSequence") or ():
        yield item
        yield from _items(item)


def _is_named(item: Dataset, name: Code) -> bool:
    return any(each.CodeValue == name.value for each in item.get("ConceptNameCodeSequence") or ())


def _is_bulk(value: object) -> bool:
    """Whether an attribute is left to another request (PS3.18 F.2.6)."""
    return isinstance(value, Mapping) and ("BulkDataURI" in value or "InlineBinary" in value)
