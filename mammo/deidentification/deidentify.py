"""Deidentifier: removes the patient's identity from DICOM mammograms.

Profile: PS3.15 Annex E, Basic Application Confidentiality Profile with Clean Pixel Data, Retain Longitudinal Temporal
Information with Modified Dates, and Retain Patient Characteristics (sex, and age in bands of five years).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence

from mammo.deidentification import allow_list
from mammo.deidentification.burned_in import clean
from mammo.deidentification.pseudonyms import Pseudonyms, age_band
from mammo.dicom.dataset import is_dicom, open_dataset, text
from mammo.dicom.decoding import NATIVE
from mammo.dicom.dicom_file import is_for_processing, sop_class_of, stored_image
from mammo.dicom.for_processing import detector_scale
from mammo.dicom.limits import MAX_BYTES
from mammo.dicom.pixel_format import PixelFormat, pixel_format
from mammo.dicom.stored_image import StoredImage
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.identifiers import identifier

PERSONAL = ["PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientAge"]
"""Elements that are replaced by pseudonyms and an age band; other elements about the patient are not parsed."""

FORMAT = [
    "SOPClassUID", "SpecificCharacterSet", "SamplesPerPixel", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "VOILUTSequence",
]  # fmt: skip
"""Elements that describe the file and its pixels."""

TAGS = [
    *PERSONAL, *FORMAT, *allow_list.CODES, *allow_list.DECIMALS, *allow_list.INTEGERS, *allow_list.SHORTS,
    *allow_list.NAMES, *allow_list.UIDS, *allow_list.DATES, *allow_list.CODED, *allow_list.REFERENCES,
]  # fmt: skip

TYPE_2 = [
    "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "ReferringPhysicianName", "StudyDate",
    "StudyTime", "Manufacturer", "SeriesNumber", "InstanceNumber",
]  # fmt: skip
"""Attributes that must be present and may be empty."""

METHOD = "allow-list, keyed UIDs, dates shifted, age in bands of 5 years"
PROFILE = ("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")
MODIFIED_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
CHARACTERISTICS = ("113108", "Retain Patient Characteristics Option")


@dataclass(frozen=True, kw_only=True, eq=False)
class Deidentified:
    """One de-identified file."""

    content: bytes
    """The bytes of a DICOM file: Explicit VR Little Endian, or RLE when the original is compressed."""

    name: str
    """The new SOP Instance UID, which is safe as a file name."""

    concern: str | None
    """Why a person must review the image: `text` over the breast, or `no_breast` found; None without concern."""

    num_blanked: int
    """Number of pixels outside the breast that were blanked."""


class Deidentifier:
    """De-identifies files one by one; files of one patient stay linked, and references between files stay valid."""

    def __init__(self, key: bytes) -> None:
        """
        Args:
            key: at least 16 bytes; store it apart from the data, because it allows guesses to be tested.

        Raises:
            ValueError: the key is too short.
        """
        self._pseudonyms = Pseudonyms(key)

    def __call__(self, data: bytes, *, max_bytes: int = MAX_BYTES) -> Deidentified:
        """De-identify one file.

        Raises:
            UnreadableImage: the file is damaged, or has no well-formed UIDs (`missing_attribute`).
            UnsupportedImage: the file is not a DICOM mammogram (For Presentation or For Processing).
        """
        if not is_dicom(data):
            raise UnsupportedImage("only DICOM files can be de-identified", code="not_dicom")
        dataset = open_dataset(data, max_bytes=max_bytes, tags=TAGS)
        is_raw = is_for_processing(dataset)
        form, stored = pixel_format(dataset), stored_image(dataset, spacing=None)
        dense_is_high = detector_scale(dataset).falling if is_raw else stored.inverted == (stored.slope < 0)
        cleaned = clean(stored.levels, dense_is_high=dense_is_high)
        out = self._header(dataset, form, concern=cleaned.concern)
        content = _encode(out, dataset, form, StoredImage(levels=cleaned.levels, depth=form.bits_stored))
        return Deidentified(
            content=content,
            name=str(out.SOPInstanceUID),
            concern=cleaned.concern,
            num_blanked=cleaned.num_blanked,
        )

    def _header(self, dataset: FileDataset, form: PixelFormat, *, concern: str | None) -> Dataset:
        """All attributes of the new file but pixel description and pixels."""
        patient_id = identifier(text(dataset, "PatientID")) or text(dataset, "StudyInstanceUID")
        patient = f"{patient_id}|{text(dataset, 'IssuerOfPatientID')}"
        out = allow_list.allowed_elements(
            dataset, pseudonyms=self._pseudonyms, patient=patient, signed=form.signed
        )
        if not all(keyword in out for keyword in allow_list.UIDS[:3]):
            raise UnreadableImage(
                "the DICOM file lacks a well-formed instance, study or series UID", code="missing_attribute"
            )
        out.SOPClassUID = uid.UID(sop_class_of(dataset))
        out.SpecificCharacterSet = "ISO_IR 192"
        for keyword in TYPE_2:
            if keyword not in out:
                setattr(out, keyword, "")
        out.PatientID = out.PatientName = self._pseudonyms.patient_id(patient)
        dates = {"birth": text(dataset, "PatientBirthDate"), "study": text(dataset, "StudyDate")}
        if band := age_band(text(dataset, "PatientAge"), **dates):
            out.PatientAge = band
        out.AcquisitionContextSequence = Sequence([])
        out.PatientIdentityRemoved = "YES"
        out.LongitudinalTemporalInformationModified = "MODIFIED"
        out.DeidentificationMethod = METHOD
        codes = [PROFILE, *([] if concern else [CLEAN_PIXELS]), MODIFIED_DATES, CHARACTERISTICS]
        out.DeidentificationMethodCodeSequence = Sequence([_code(*code) for code in codes])
        out.BurnedInAnnotation = "YES" if concern else "NO"
        return out


def _encode(out: Dataset, dataset: FileDataset, form: PixelFormat, stored: StoredImage) -> bytes:
    """Encode the new file, with a new preamble and meta header, and without unused bits and overlays."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = out.SOPClassUID, out.SOPInstanceUID
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    file = FileDataset("", out, file_meta=meta, preamble=b"\0" * 128)
    file.SamplesPerPixel, file.Rows, file.Columns = 1, form.size.height, form.size.width
    file.BitsAllocated, file.BitsStored = form.bits_allocated, form.bits_stored
    file.HighBit, file.PixelRepresentation = form.bits_stored - 1, int(form.signed)
    values = stored.levels.astype(np.int32)
    if form.signed:
        values -= 1 << (form.bits_stored - 1)
    if form.bits_allocated == 8:
        pixels = values.astype(np.int8 if form.signed else np.uint8).tobytes()
        file.add_new("PixelData", "OB", pixels + b"\0" * (len(pixels) % 2))
    else:
        file.add_new("PixelData", "OW", values.astype("<i2" if form.signed else "<u2").tobytes())
    if text(dataset.file_meta, "TransferSyntaxUID") not in NATIVE:
        file.compress(uid.RLELossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
