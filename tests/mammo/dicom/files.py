"""DICOM files for the tests of this folder, made in memory: a sound mammogram, and that mammogram edited."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.tag import Tag

from mammo.dicom import write_mammogram

Stored = npt.NDArray[np.uint16]
PATIENT = "DOE-4711"
"""The PatientID of every file here: no error message may quote it."""


def gradient(*, height: int = 48, width: int = 32, bits: int = 12) -> Stored:
    """Every column another value, from 0 to the largest."""
    row = np.linspace(0, 2**bits - 1, width).astype(np.uint16)
    return np.tile(row, (height, 1))


def mammogram_file(stored: Stored | None = None, **options: Any) -> bytes:
    """The bytes of a conformant mammogram; `options` go to `write_mammogram`."""
    settings: dict[str, Any] = {
        "laterality": "L", "view": "CC", "spacing_mm": 0.07, "bits": 12, "patient_id": PATIENT, "entropy": "test",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.dcm"
        write_mammogram(path, gradient() if stored is None else stored, **(settings | options))
        return path.read_bytes()


def edited(data: bytes, edit: Callable[[FileDataset], None]) -> bytes:
    """The file with a change that a conformant writer would not make."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    edit(dataset)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=False)
    return out.getvalue()


def with_elements(data: bytes | None = None, /, **elements: Any) -> bytes:
    """The file with these elements set, or removed where the value is None."""

    def edit(dataset: FileDataset) -> None:
        for keyword, value in elements.items():
            if value is None:
                del dataset[keyword]
            else:
                setattr(dataset, keyword, value)
                if dataset[keyword].VR == "US or SS":
                    dataset[keyword].VR = "US"

    return edited(data or mammogram_file(), edit)


def with_raw(data: bytes | None = None, /, **elements: tuple[str, bytes]) -> bytes:
    """The file with elements of any VR and any bytes, as no library would write them."""

    def edit(dataset: FileDataset) -> None:
        for keyword, (vr, value) in elements.items():
            tag = Tag(keyword)
            dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)

    return edited(data or mammogram_file(), edit)
