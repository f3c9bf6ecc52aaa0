"""Elements that a de-identified file may contain (PS3.15 Annex E as an allow-list: all other elements are dropped).

Values are parsed and written anew, not copied, so that no element can hide data of another type: a coded string is one
of the listed terms, a number is a number, and the meaning of a code comes from this module.
"""

from __future__ import annotations

import re

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammo.deidentification.pseudonyms import Pseudonyms
from mammo.deidentification.terms import MAKERS, TERMS
from mammo.dicom.dataset import first_item, integer, numbers, payload, text
from mammo.dicom.projection import MODIFIERS, SCT_CODES, SRT_CODES
from mammo.dicom.source import uid_of

CODES = [
    "ImageType", "Modality", "PresentationIntentType", "BodyPartExamined", "Grid", "FilterType", "FilterMaterial",
    "AnodeTargetMaterial", "PositionerType", "DetectorType", "DetectorConfiguration", "FieldOfViewShape",
    "FieldOfViewHorizontalFlip", "OrganExposed", "ImageLaterality", "Laterality", "PatientOrientation",
    "ViewPosition", "BreastImplantPresent", "PartialView", "QualityControlImage", "LossyImageCompression",
    "LossyImageCompressionMethod", "PhotometricInterpretation", "PixelIntensityRelationship",
    "PresentationLUTShape", "VOILUTFunction", "ExposureControlMode", "PixelSpacingCalibrationType", "RescaleType",
    "PatientSex", "ConversionType",
]  # fmt: skip
"""Coded strings with values of `TERMS`; other values are emptied, so that a name cannot pass for a code."""

DECIMALS = [
    "KVP", "BodyPartThickness", "CompressionForce", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "OrganDose", "RescaleIntercept", "RescaleSlope", "EstimatedRadiographicMagnificationFactor",
    "PositionerPrimaryAngle", "FieldOfViewOrigin", "FieldOfViewRotation", "ImagerPixelSpacing", "PixelSpacing",
    "NominalScannedPixelSpacing", "LossyImageCompressionRatio", "WindowCenter", "WindowWidth",
    "DetectorTemperature",
]  # fmt: skip
"""Decimal strings."""

INTEGERS = [
    "Exposure", "ExposureInuAs", "ExposureTime", "XRayTubeCurrent", "FieldOfViewDimensions", "SeriesNumber",
    "InstanceNumber", "PixelAspectRatio",
]  # fmt: skip
"""Integer strings."""

SHORTS = ["PixelIntensityRelationshipSign", "PixelPaddingValue", "PixelPaddingRangeLimit"]
"""16-bit integers, signed like the pixels."""

NAMES = ["Manufacturer", "ManufacturerModelName"]
"""Long strings, reduced to words of `MAKERS`."""

UIDS = [
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "IrradiationEventUID",
    "ReferencedSOPInstanceUID",
]  # fmt: skip
"""UIDs, replaced by keyed ones; the last one occurs in references only."""

DATES = ["StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"]
"""Dates, shifted."""

CODED = ["ViewCodeSequence", "AnatomicRegionSequence", "ViewModifierCodeSequence"]
"""Code sequences with codes of `MEANINGS`; the last one occurs inside the first only."""

REFERENCES = ["ReferencedImageSequence", "SourceImageSequence"]
"""References to other images."""

MEANINGS = {
    **dict(SCT_CODES.values()),
    **{code: SCT_CODES[view][1] for code, view in SRT_CODES.items()},
    **{"76752008": "Breast", "T-04000": "Breast"},
    **MODIFIERS,
}
"""Allowed codes and their meanings; other codes are dropped."""

SCHEMES = {"SCT", "SRT", "SNM3", "99SDM", "DCM"}
MAX_VALUES = 64
MAX_INTEGER = 2**31 - 1


def allowed_elements(dataset: Dataset, *, pseudonyms: Pseudonyms, patient: str, signed: bool) -> Dataset:
    """Build a data set from the allowed elements of a file, without pixel description and pixels.

    Args:
        dataset: as `open_dataset` returns it.
        pseudonyms: replaces UIDs and dates.
        patient: identifies the patient whose dates are shifted.
        signed: whether the pixels, and with them the 16-bit integers, are signed.
    """
    out = Dataset()
    _add_text(out, dataset)
    _add_numbers(out, dataset, signed=signed)
    for keyword in UIDS[:-1]:
        if original := uid_of(dataset, keyword):
            setattr(out, keyword, pseudonyms.uid(original))
    for keyword in DATES:
        if date := pseudonyms.date(text(dataset, keyword), patient=patient):
            setattr(out, keyword, date)
    for keyword in CODED[:-1]:
        if (item := _coded(first_item(dataset, keyword))) is not None:
            setattr(out, keyword, Sequence([item]))
    for keyword in REFERENCES:
        if (item := _reference(first_item(dataset, keyword), pseudonyms)) is not None:
            setattr(out, keyword, Sequence([item]))
    if (table := _lookup_table(first_item(dataset, "VOILUTSequence"))) is not None:
        out.VOILUTSequence = Sequence([table])
    return out


def _add_text(out: Dataset, dataset: Dataset) -> None:
    """Add coded strings and the names of manufacturer and model."""
    for keyword in CODES:
        values = text(dataset, keyword).upper().split("\\")[:MAX_VALUES]
        values = [value if value in TERMS else "" for value in values]
        if any(values):
            setattr(out, keyword, values)
    for keyword in NAMES:
        words = re.split(r"[^A-Z0-9]+", text(dataset, keyword).upper()[:64])
        if name := " ".join(word for word in words if word in MAKERS):
            setattr(out, keyword, name)


def _add_numbers(out: Dataset, dataset: Dataset, *, signed: bool) -> None:
    """Add decimal strings, integer strings and 16-bit integers."""
    for keyword in DECIMALS:
        if values := numbers(dataset, keyword)[:MAX_VALUES]:
            setattr(out, keyword, [f"{value:.10g}" for value in values])
    for keyword in INTEGERS:
        values = numbers(dataset, keyword)[:MAX_VALUES]
        if values and all(value == int(value) and abs(value) <= MAX_INTEGER for value in values):
            setattr(out, keyword, [str(int(value)) for value in values])
    for keyword in SHORTS:
        short = integer(dataset, keyword)
        if short is not None and -(2**15) <= short < 2**16:
            is_signed = keyword.endswith("Sign") or signed
            out.add_new(keyword, "SS" if is_signed else "US", _wrapped(short, signed=is_signed))


def _wrapped(value: int, *, signed: bool) -> int:
    """The 16-bit integer with the same bits."""
    wrapped = value % 2**16
    return wrapped - 2**16 if signed and wrapped >= 2**15 else wrapped


def _coded(item: Dataset | None) -> Dataset | None:
    """An allowed code with the meaning from `MEANINGS`, and the view modifier inside it; None for other codes."""
    if item is None or text(item, "CodeValue") not in MEANINGS:
        return None
    out = Dataset()
    out.CodeValue, out.CodeMeaning = text(item, "CodeValue"), MEANINGS[text(item, "CodeValue")]
    scheme = text(item, "CodingSchemeDesignator")
    out.CodingSchemeDesignator = scheme if scheme in SCHEMES else "SCT"
    if "ViewModifierCodeSequence" in item:
        modifier = _coded(first_item(item, "ViewModifierCodeSequence"))
        out.ViewModifierCodeSequence = Sequence([modifier] if modifier is not None else [])
    return out


def _reference(item: Dataset | None, pseudonyms: Pseudonyms) -> Dataset | None:
    """A reference to another object; it stays valid when that object is de-identified with the same key."""
    if item is None:
        return None
    sop_class, instance = uid_of(item, "ReferencedSOPClassUID"), uid_of(item, "ReferencedSOPInstanceUID")
    if instance is None or sop_class is None or not sop_class.startswith("1.2.840.10008."):
        return None
    out = Dataset()
    out.ReferencedSOPClassUID, out.ReferencedSOPInstanceUID = sop_class, pseudonyms.uid(instance)
    return out


def _lookup_table(item: Dataset | None) -> Dataset | None:
    """A VOI LUT whose values are monotonic; other bytes could encode anything and are dropped."""
    if item is None or len(descriptor := numbers(item, "LUTDescriptor")) != 3:
        return None
    length, first, bits = (int(part) for part in descriptor)
    raw = payload(item, "LUTData")
    curve = np.frombuffer(raw, "<u2") if len(raw) % 2 == 0 and raw else np.asarray(numbers(item, "LUTData"))
    steps = np.diff(curve.astype(np.int64))
    is_monotonic = curve.size and (np.all(steps >= 0) or np.all(steps <= 0))
    if not is_monotonic or curve.size != (length or 2**16) or not (0 <= first < 2**16 and 8 <= bits <= 16):
        return None
    out = Dataset()
    out.add_new("LUTDescriptor", "US", [length, first, bits])
    out.add_new("LUTData", "OW", curve.astype("<u2").tobytes())
    return out
