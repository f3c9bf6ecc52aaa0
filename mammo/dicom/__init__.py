"""Reads and writes mammograms: DICOM, PNG, JPEG, TIFF and PGM; hostile files raise errors with stable codes."""

from __future__ import annotations

from mammo.dicom.display import display_twin, encode_png
from mammo.dicom.intake import Intake, read_intake
from mammo.dicom.mammogram import Mammogram
from mammo.dicom.patient import patient_key
from mammo.dicom.reading import read_mammogram
from mammo.dicom.source import DicomSource
from mammo.dicom.writing import MammogramHeader, write_mammogram

__all__ = [
    "DicomSource",
    "Intake",
    "Mammogram",
    "MammogramHeader",
    "display_twin",
    "encode_png",
    "patient_key",
    "read_intake",
    "read_mammogram",
    "write_mammogram",
]
