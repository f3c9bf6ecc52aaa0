"""A DICOM file (or PNG, JPEG, TIFF, PGM) becomes a Mammogram; hostile input becomes an error with a stable code."""

from __future__ import annotations

from mammo.dicom.display import display_twin, encode_png
from mammo.dicom.intake import Intake, take_in
from mammo.dicom.mammogram import Mammogram
from mammo.dicom.patient import patient_key
from mammo.dicom.reading import read_mammogram
from mammo.dicom.source import DicomSource
from mammo.dicom.writing import write_mammogram

__all__ = [
    "DicomSource",
    "Intake",
    "Mammogram",
    "display_twin",
    "encode_png",
    "patient_key",
    "read_mammogram",
    "take_in",
    "write_mammogram",
]
