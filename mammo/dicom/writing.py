"""Stored values become a Digital Mammography X-Ray Image (PS3.3 A.27), as phantoms, demo and tests need it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence

from mammo.dicom.mammogram import Laterality
from mammo.dicom.projection import SCT_CODES

UID_NAMESPACE = uuid.UUID("0c5d6c9c-6e02-5a55-8a4b-5d1d0a4c2f11")
DATE, TIME = "20240102", "030405"
"""Of every file written here: it is synthetic, and the same call gives the same bytes."""

SYNTAXES = {
    "explicit": uid.ExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg-ls": uid.JPEGLSLossless,
}
FOR_PROCESSING: Mapping[str, object] = {
    "PresentationIntentType": "FOR PROCESSING", "ImageType": ["ORIGINAL", "PRIMARY", ""], "SeriesNumber": 2,
    "PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": 1,
}  # fmt: skip
"""Where raw detector counts differ from a picture."""

ENCODERS = {uid.RLELossless: "pylibjpeg", uid.JPEGLSLossless: "pyjpegls"}


def write_mammogram(
    path: Path,
    stored: npt.NDArray[np.uint16],
    *,
    laterality: Laterality,
    view: str,
    spacing_mm: float,
    bits: int,
    patient_id: str,
    study_uid: str | None = None,
    series_uid: str | None = None,
    entropy: str | None = None,
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2",
    window: tuple[float, float] | None = None,
    voi_function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR",
    number: int = 1,
    manufacturer: str = "SYNTHETIC",
    syntax: Literal["explicit", "rle", "jpeg-ls"] = "explicit",
    for_processing: bool = False,
) -> None:
    """Write one view with all attributes that the standard requires (dciodvfy finds no error).

    Args:
        stored: H x W, the values as they go into the file (for MONOCHROME1: low is dense).
        view: a key of `SCT_CODES`, such as `CC` or `MLO`.
        spacing_mm: at the detector and in the breast alike (magnification 1).
        bits: BitsStored, 10 to 16; `stored` must fit.
        entropy: makes the UIDs that are not given a function of this text and not of chance.
        window: centre and width in stored values; default: the range that most of a mammogram fills.
        number: instance number.
        for_processing: `stored` are detector counts, linear in exposure; the file is For Processing, in a series
            of its own and without a window. Goes with MONOCHROME1, where few counts are shown bright.

    Raises:
        ValueError: values that do not fit into `bits`, or an unknown view.
    """
    if stored.ndim != 2 or stored.dtype != np.uint16:
        raise ValueError(f"expected a 2-D uint16 array, got {stored.dtype} {stored.shape}")
    if not 10 <= bits <= 16 or int(stored.max()) >= 2**bits:
        raise ValueError(f"values up to {int(stored.max())} do not fit into {bits} bits (of 10 to 16)")
    if view not in SCT_CODES:
        raise ValueError(f"expected a view of {', '.join(SCT_CODES)}, got {view}")
    dataset = FileDataset(str(path), {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    raw = "raw " if for_processing else ""
    dataset.SOPClassUID = (
        uid.DigitalMammographyXRayImageStorageForProcessing
        if for_processing
        else uid.DigitalMammographyXRayImageStorageForPresentation
    )
    dataset.SOPInstanceUID = _uid(entropy, f"{raw}instance {laterality} {view} {number}")
    dataset.StudyInstanceUID = study_uid or _uid(entropy, "study")
    dataset.SeriesInstanceUID = series_uid or _uid(entropy, f"{raw}series")
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    _set(dataset, _patient_and_study(patient_id, number, manufacturer))
    _set(dataset, _acquisition(stored.shape, spacing_mm, laterality=laterality, view=view))
    _set(dataset, _grey_scale(bits, photometric))
    if for_processing:
        _set(dataset, FOR_PROCESSING)
    else:
        _set(dataset, _window(bits, photometric, window, voi_function))
    dataset.ViewCodeSequence = _code(*SCT_CODES[view])
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    dataset.AnatomicRegionSequence = _code("76752008", "Breast")
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.Rows, dataset.Columns = stored.shape
    dataset.add_new("PixelData", "OW", np.ascontiguousarray(stored, "<u2").tobytes())
    chosen = SYNTAXES[syntax]
    if chosen != uid.ExplicitVRLittleEndian:
        dataset.compress(chosen, encoding_plugin=ENCODERS[chosen], generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


def _patient_and_study(patient_id: str, number: int, manufacturer: str) -> Mapping[str, object]:
    dates = {f"{of}Date": DATE for of in ("Study", "Series", "Acquisition", "Content")}
    times = {f"{of}Time": TIME for of in ("Study", "Series", "Acquisition", "Content")}
    return dates | times | {
        "PatientName": "SYNTHETIC^PHANTOM", "PatientID": patient_id, "PatientBirthDate": "", "PatientSex": "F",
        "PatientAge": "060Y", "PatientIdentityRemoved": "YES", "DeidentificationMethod": "synthetic: nobody was imaged",
        "ReferringPhysicianName": "", "AccessionNumber": "", "StudyID": "1",
        "SeriesNumber": 1, "InstanceNumber": number, "Modality": "MG", "PresentationIntentType": "FOR PRESENTATION",
        "Manufacturer": manufacturer, "ManufacturerModelName": "PHANTOM", "DeviceSerialNumber": "0",
        "SoftwareVersions": "1", "ImageType": ["DERIVED", "PRIMARY", ""],
        "BurnedInAnnotation": "NO", "LossyImageCompression": "00", "QualityControlImage": "NO",
        "BreastImplantPresent": "NO", "PartialView": "NO",
    }  # fmt: skip


def _acquisition(
    shape: tuple[int, ...], spacing_mm: float, *, laterality: Laterality, view: str
) -> Mapping[str, object]:
    height, width = shape
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


def _grey_scale(bits: int, photometric: str) -> Mapping[str, object]:
    inverted = photometric == "MONOCHROME1"
    return {
        "SamplesPerPixel": 1, "PhotometricInterpretation": photometric, "BitsAllocated": 16, "BitsStored": bits,
        "HighBit": bits - 1, "PixelRepresentation": 0, "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": 1 if inverted else -1,
        "RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US",
        "PresentationLUTShape": "INVERSE" if inverted else "IDENTITY",
    }  # fmt: skip


def _window(
    bits: int, photometric: str, window: tuple[float, float] | None, function: str
) -> Mapping[str, object]:
    inverted = photometric == "MONOCHROME1"
    centre, width = window or (2**bits * (0.58 if inverted else 0.42), 2**bits * 0.84)
    return {
        "WindowCenter": [f"{centre:.8g}"], "WindowWidth": [f"{width:.8g}"],
        "WindowCenterWidthExplanation": "NORMAL", "VOILUTFunction": function,
    }  # fmt: skip


def _set(dataset: Dataset, attributes: Mapping[str, object]) -> None:
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)


def _code(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return Sequence([item])


def _uid(entropy: str | None, role: str) -> uid.UID:
    """A UID of PS3.5 B.2 (2.25 and a UUID): random, or the same for the same text."""
    made = uuid.uuid4() if entropy is None else uuid.uuid5(UID_NAMESPACE, f"{entropy}/{role}")
    return uid.UID(f"2.25.{made.int}")
