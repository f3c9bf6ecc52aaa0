"""What a de-identified file may keep (PS3.15 Annex E, turned round: everything that is not named here is dropped).

Values are not copied but parsed and written anew, so that nothing hides in an element of another kind than its name:
a code is one of the terms we know, a number is a number, the meaning of a code is our own word for it.
"""

from __future__ import annotations

import re

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammo.deidentification.pseudonyms import Pseudonyms
from mammo.deidentification.terms import MAKERS, TERMS
from mammo.dicom.dataset import first_item, integer, numbers, payload, text
from mammo.dicom.projection import SCT_CODES, SRT_CODES
from mammo.dicom.source import MAX_UID, UID

CODES = [
    "ImageType", "Modality", "PresentationIntentType", "BodyPartExamined", "Grid", "FilterType", "FilterMaterial",
    "AnodeTargetMaterial", "PositionerType", "DetectorType", "DetectorConfiguration", "FieldOfViewShape",
    "FieldOfViewHorizontalFlip", "OrganExposed", "ImageLaterality", "Laterality", "PatientOrientation",
    "ViewPosition", "BreastImplantPresent", "PartialView", "QualityControlImage", "LossyImageCompression",
    "LossyImageCompressionMethod", "PhotometricInterpretation", "PixelIntensityRelationship",
    "PresentationLUTShape", "VOILUTFunction", "ExposureControlMode", "PixelSpacingCalibrationType", "RescaleType",
    "PatientSex", "ConversionType",
]  # fmt: skip
"""Values that are words of `TERMS`; another value is emptied, so that a name cannot pass for a code."""

DECIMALS = [
    "KVP", "BodyPartThickness", "CompressionForce", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "OrganDose", "RescaleIntercept", "RescaleSlope", "EstimatedRadiographicMagnificationFactor",
    "PositionerPrimaryAngle", "FieldOfViewOrigin", "FieldOfViewRotation", "ImagerPixelSpacing", "PixelSpacing",
    "NominalScannedPixelSpacing", "LossyImageCompressionRatio", "WindowCenter", "WindowWidth",
    "DetectorTemperature",
]  # fmt: skip
INTEGERS = [
    "Exposure", "ExposureInuAs", "ExposureTime", "XRayTubeCurrent", "FieldOfViewDimensions", "SeriesNumber",
    "InstanceNumber", "PixelAspectRatio",
]  # fmt: skip
WORDS = ["PixelIntensityRelationshipSign", "PixelPaddingValue", "PixelPaddingRangeLimit"]
NAMES = ["Manufacturer", "ManufacturerModelName"]
UIDS = [
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "IrradiationEventUID",
    "ReferencedSOPInstanceUID",
]  # fmt: skip
DATES = ["StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"]
CODED = ["ViewCodeSequence", "AnatomicRegionSequence", "ViewModifierCodeSequence"]
REFERENCES = ["ReferencedImageSequence", "SourceImageSequence"]

MEANINGS = {
    **dict(SCT_CODES.values()),
    **{code: SCT_CODES[view][1] for code, view in SRT_CODES.items()},
    **{"76752008": "Breast", "T-04000": "Breast"},
    **{"399163009": "Magnification", "399055006": "Spot Compression"},
    **{"399209000": "Implant Displaced", "399161006": "Cleavage"},
}
"""Codes that are kept, and what they mean; a code without an entry is dropped."""

SCHEMES = {"SCT", "SRT", "SNM3", "99SDM", "DCM"}
MAX_VALUES = 64
MAX_INTEGER = 2**31 - 1


def kept(dataset: Dataset, *, pseudonyms: Pseudonyms, patient: str, signed: bool) -> Dataset:
    """A new data set with the allowed elements of a file, pixel description and pixels left out.

    Args:
        dataset: as `open_dataset` gives it.
        patient: what the patient's dates are shifted by.
        signed: whether words are signed, as the pixels are.
    """
    out = Dataset()
    for keyword in CODES:
        values = text(dataset, keyword).upper().split("\\")[:MAX_VALUES]
        values = [v if v in TERMS else "" for v in values]
        if any(values):
            setattr(out, keyword, values)
    for keyword in NAMES:
        words = re.split(r"[^A-Z0-9]+", text(dataset, keyword).upper()[:64])
        if known := " ".join(word for word in words if word in MAKERS):
            setattr(out, keyword, known)
    for keyword in DECIMALS:
        if found := numbers(dataset, keyword)[:MAX_VALUES]:
            setattr(out, keyword, [f"{value:.10g}" for value in found])
    for keyword in INTEGERS:
        found = numbers(dataset, keyword)[:MAX_VALUES]
        if found and all(value == int(value) and abs(value) <= MAX_INTEGER for value in found):
            setattr(out, keyword, [str(int(value)) for value in found])
    for keyword in WORDS:
        word = integer(dataset, keyword)
        if word is not None and -(2**15) <= word < 2**16:
            signed_word = keyword.endswith("Sign") or signed
            out.add_new(keyword, "SS" if signed_word else "US", _word(word, signed=signed_word))
    for keyword in UIDS[:-1]:
        if original := _uid(dataset, keyword):
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


def _word(value: int, *, signed: bool) -> int:
    wrapped = value % 2**16
    return wrapped - 2**16 if signed and wrapped >= 2**15 else wrapped


def _uid(dataset: Dataset, keyword: str) -> str | None:
    value = text(dataset, keyword)
    return value if len(value) <= MAX_UID and UID.fullmatch(value) else None


def _coded(item: Dataset | None) -> Dataset | None:
    """A code that we know, with our own words for its meaning; the view's modifiers are codes inside it."""
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
    """A reference to another object, which keeps pointing there when that object is de-identified too."""
    if item is None:
        return None
    sop_class, instance = _uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID")
    if instance is None or sop_class is None or not sop_class.startswith("1.2.840.10008."):
        return None
    out = Dataset()
    out.ReferencedSOPClassUID, out.ReferencedSOPInstanceUID = sop_class, pseudonyms.uid(instance)
    return out


def _lookup_table(item: Dataset | None) -> Dataset | None:
    """A VOI LUT as rising numbers; bytes that are no curve could be anything."""
    if item is None or len(descriptor := numbers(item, "LUTDescriptor")) != 3:
        return None
    length, first, bits = (int(part) for part in descriptor)
    raw = payload(item, "LUTData")
    curve = np.frombuffer(raw, "<u2") if len(raw) % 2 == 0 and raw else np.asarray(numbers(item, "LUTData"))
    steps = np.diff(curve.astype(np.int64))
    monotone = curve.size and (np.all(steps >= 0) or np.all(steps <= 0))
    if not monotone or curve.size != (length or 2**16) or not (0 <= first < 2**16 and 8 <= bits <= 16):
        return None
    out = Dataset()
    out.add_new("LUTDescriptor", "US", [length, first, bits])
    out.add_new("LUTData", "OW", curve.astype("<u2").tobytes())
    return out
