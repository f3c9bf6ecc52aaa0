"""Writes synthetic Digital Mammography X-Ray Images (PS3.3 A.27) for phantoms, demo and tests."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence

from mammo.dicom.mammogram import Laterality
from mammo.dicom.projection import SCT_CODES

UID_NAMESPACE = uuid.UUID("0c5d6c9c-6e02-5a55-8a4b-5d1d0a4c2f11")
DATE, TIME = "20240102", "030405"
"""Dates of every written file: constant, so that the same call writes the same bytes."""

SYNTAXES = {
    "explicit": uid.ExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg-ls": uid.JPEGLSLossless,
}
"""Transfer syntaxes that can be written, by name."""

FOR_PROCESSING: Mapping[str, object] = {
    "PresentationIntentType": "FOR PROCESSING", "ImageType": ["ORIGINAL", "PRIMARY", ""], "SeriesNumber": 2,
    "PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": 1,
}  # fmt: skip
"""Attributes of raw detector counts that differ from those of an image for presentation."""

ENCODERS = {uid.RLELossless: "pylibjpeg", uid.JPEGLSLossless: "pyjpegls"}
"""pydicom's encoding plugins."""


@dataclass(frozen=True, kw_only=True)
class MammogramHeader:
    """Attributes of a synthetic mammogram file; the fields are keyword arguments of `write_mammogram`."""

    laterality: Laterality
    view: str
    """A key of `SCT_CODES`, such as `CC` or `MLO`."""

    spacing_mm: float
    """Pixel spacing at the detector and in the breast (magnification 1)."""

    bits: int
    """BitsStored, 10 to 16."""

    patient_id: str
    study_uid: str | None = None
    series_uid: str | None = None
    entropy: str | None = None
    """Text from which the UIDs that are not given are derived; without it they are random."""

    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    window: tuple[float, float] | None = None
    """Centre and width in stored values; default: the range of most of a mammogram's pixels."""

    voi_function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"
    number: int = 1
    """Instance number."""

    manufacturer: str = "SYNTHETIC"
    syntax: Literal["explicit", "rle", "jpeg-ls"] = "explicit"
    """Transfer syntax, a key of `SYNTAXES`."""

    for_processing: bool = False
    """Write raw detector counts, linear in exposure, as For Processing in a series of their own and without a window.
    Use it with MONOCHROME1, which displays low counts bright."""

    def __post_init__(self) -> None:
        if self.view not in SCT_CODES:
            raise ValueError(f"expected a view of {', '.join(SCT_CODES)}, got {self.view}")
        if not 10 <= self.bits <= 16:
            raise ValueError(f"expected 10 to 16 bits, got {self.bits}")


def write_mammogram(
    path: Path,
    stored: npt.NDArray[np.uint16],
    header: MammogramHeader | None = None,
    **attributes: Any,
) -> None:
    """Write one view with all attributes that the standard requires (dciodvfy reports no error).

    Args:
        path: the file to write.
        stored: H x W, the values of the file (in MONOCHROME1 low values are dense tissue), below 2**bits.
        header: attributes of the file.
        attributes: fields of `MammogramHeader`, in place of `header`.

    Raises:
        ValueError: `stored` is not a 2-D uint16 array or does not fit into `bits`, or a field is out of range.
    """
    header = header or MammogramHeader(**attributes)
    if stored.ndim != 2 or stored.dtype != np.uint16:
        raise ValueError(f"expected a 2-D uint16 array, got {stored.dtype} {stored.shape}")
    if int(stored.max()) >= 2**header.bits:
        raise ValueError(f"values up to {int(stored.max())} do not fit into {header.bits} bits")
    dataset = _dataset(header, stored.shape)
    dataset.add_new("PixelData", "OW", np.ascontiguousarray(stored, "<u2").tobytes())
    syntax = SYNTAXES[header.syntax]
    if syntax != uid.ExplicitVRLittleEndian:
        dataset.compress(syntax, encoding_plugin=ENCODERS[syntax], generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


def derived_uid(text: str) -> uid.UID:
    """A UID (PS3.5 B.2: 2.25 and a UUID) that is a function of a text."""
    return uid.UID(f"2.25.{uuid.uuid5(UID_NAMESPACE, text).int}")


def _dataset(header: MammogramHeader, shape: tuple[int, ...]) -> FileDataset:
    """All attributes but the pixel data."""
    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = (
        uid.DigitalMammographyXRayImageStorageForProcessing
        if header.for_processing
        else uid.DigitalMammographyXRayImageStorageForPresentation
    )
    prefix = "raw " if header.for_processing else ""
    instance = f"{prefix}instance {header.laterality} {header.view} {header.number}"
    dataset.SOPInstanceUID = _uid(header.entropy, instance)
    dataset.StudyInstanceUID = header.study_uid or _uid(header.entropy, "study")
    dataset.SeriesInstanceUID = header.series_uid or _uid(header.entropy, f"{prefix}series")
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    _set(dataset, _patient_and_study(header))
    _set(dataset, _acquisition(header, shape))
    _set(dataset, _grey_scale(header))
    _set(dataset, FOR_PROCESSING if header.for_processing else _window(header))
    dataset.ViewCodeSequence = _code(*SCT_CODES[header.view])
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    dataset.AnatomicRegionSequence = _code("76752008", "Breast")
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.Rows, dataset.Columns = shape
    return dataset


def _patient_and_study(header: MammogramHeader) -> Mapping[str, object]:
    dates = {f"{of}Date": DATE for of in ("Study", "Series", "Acquisition", "Content")}
    times = {f"{of}Time": TIME for of in ("Study", "Series", "Acquisition", "Content")}
    return dates | times | {
        "PatientName": "SYNTHETIC^PHANTOM", "PatientID": header.patient_id, "PatientBirthDate": "", "PatientSex": "F",
        "PatientAge": "060Y", "PatientIdentityRemoved": "YES", "DeidentificationMethod": "synthetic: nobody was imaged",
        "ReferringPhysicianName": "", "AccessionNumber": "", "StudyID": "1",
        "SeriesNumber": 1, "InstanceNumber": header.number,
        "Modality": "MG", "PresentationIntentType": "FOR PRESENTATION",
        "Manufacturer": header.manufacturer, "ManufacturerModelName": "PHANTOM", "DeviceSerialNumber": "0",
        "SoftwareVersions": "1", "ImageType": ["DERIVED", "PRIMARY", ""],
        "BurnedInAnnotation": "NO", "LossyImageCompression": "00", "QualityControlImage": "NO",
        "BreastImplantPresent": "NO", "PartialView": "NO",
    }  # fmt: skip


def _acquisition(header: MammogramHeader, shape: tuple[int, ...]) -> Mapping[str, object]:
    height, width = shape
    laterality, view, spacing_mm = header.laterality, header.view, header.spacing_mm
    row, column = ("A", "R") if laterality == "L" else ("P", "L")  # left breast: chest wall on the left edge
    oblique = view != "CC"
    return {
        "BodyPartExamined": "BREAST", "OrganExposed": "BREAST", "ImageLaterality": laterality, "ViewPosition": view,
        "PatientOrientation": [row, "F" + column if oblique else column],
        "PositionerType": "MAMMOGRAPHIC",
        "PositionerPrimaryAngle": "0" if not oblique else "45" if laterality == "L" else "-45",
        "KVP": "28", "Exposure": 80, "ExposureInuAs": 80000, "ExposureTime": 900, "XRayTubeCurrent": 90,
        "ExposureControlMode": "AUTOMATIC", "BodyPartThickness": "55", "CompressionForce": "90", "OrganDose": "0.015",
        "Grid": ["RECIPROCATING", "FOCUSED"], "FilterType": "FLAT", "FilterMaterial": "RHODIUM",
        "AnodeTargetMaterial": "TUNGSTEN", "DistanceSourceToDetector": "650", "DistanceSourceToPatient": "650",
        "EstimatedRadiographicMagnificationFactor": "1", "DetectorType": "DIRECT", "DetectorConfiguration": "AREA",
        "DetectorID": "PHANTOM", "DetectorTemperature": "25", "DateOfLastDetectorCalibration": DATE,
        "FieldOfViewShape": "RECTANGLE", "FieldOfViewOrigin": ["0", "0"], "FieldOfViewRotation": "0",
        "FieldOfViewHorizontalFlip": "NO",
        "FieldOfViewDimensions": [str(max(1, int(width * spacing_mm))), str(max(1, int(height * spacing_mm)))],
        "ImagerPixelSpacing": [f"{spacing_mm:.6g}", f"{spacing_mm:.6g}"],
    }  # fmt: skip


def _grey_scale(header: MammogramHeader) -> Mapping[str, object]:
    inverted = header.photometric == "MONOCHROME1"
    return {
        "SamplesPerPixel": 1, "PhotometricInterpretation": header.photometric,
        "BitsAllocated": 16, "BitsStored": header.bits, "HighBit": header.bits - 1, "PixelRepresentation": 0,
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": 1 if inverted else -1,
        "RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US",
        "PresentationLUTShape": "INVERSE" if inverted else "IDENTITY",
    }  # fmt: skip


def _window(header: MammogramHeader) -> Mapping[str, object]:
    inverted, num_values = header.photometric == "MONOCHROME1", 2**header.bits
    centre, width = header.window or (num_values * (0.58 if inverted else 0.42), num_values * 0.84)
    return {
        "WindowCenter": [f"{centre:.8g}"], "WindowWidth": [f"{width:.8g}"],
        "WindowCenterWidthExplanation": "NORMAL", "VOILUTFunction": header.voi_function,
    }  # fmt: skip


def _set(dataset: Dataset, attributes: Mapping[str, object]) -> None:
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)


def _code(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return Sequence([item])


def _uid(entropy: str | None, role: str) -> uid.UID:
    """A random UID, or one derived from `entropy` and the role."""
    return derived_uid(f"{uuid.uuid4() if entropy is None else entropy}/{role}")
