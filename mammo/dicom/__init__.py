"""Reads and writes mammograms: DICOM, PNG, JPEG, TIFF and PGM; hostile files raise errors with stable codes.

A name is imported when it is first used: pydicom and its decoders would take a tenth of the backend's start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "DicomSource": "source",
    "Intake": "intake",
    "Mammogram": "mammogram",
    "MammogramHeader": "writing",
    "display_twin": "display",
    "encode_png": "display",
    "patient_key": "patient",
    "read_intake": "intake",
    "read_mammogram": "reading",
    "write_mammogram": "writing",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
