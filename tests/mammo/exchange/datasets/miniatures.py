"""Miniature files in the layouts of public data sets, made here: no pixel of theirs is part of this project."""

from __future__ import annotations

import io
import plistlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pydicom

from tests.mammo.dicom.files import edited, gradient, mammogram_file

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def picture(seed: int, *, width: int = 32, height: int = 48) -> npt.NDArray[np.uint16]:
    """12-bit values that differ between seeds."""
    stored = gradient(width=width, height=height).copy()
    stored[0, 0] = seed
    return stored


def film(path: Path, seed: int) -> None:
    """CBIS-DDSM: digitised film of 16 bits as Secondary Capture, without any spacing."""

    def edit(dataset: pydicom.FileDataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
        del dataset.ImagerPixelSpacing

    write(path, edited(mammogram_file(picture(seed), bits=16), edit))


def mask_film(path: Path, mask: npt.NDArray[np.uint8]) -> None:
    """CBIS-DDSM: a mask of 8 bits, 0 and 255."""

    def edit(dataset: pydicom.FileDataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
        dataset.Rows, dataset.Columns = mask.shape
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset["PixelData"].VR = "OB"
        dataset.PixelData = mask.tobytes()
        del dataset.ImagerPixelSpacing

    write(path, edited(mammogram_file(), edit))


def digital(path: Path, seed: int, **options: Any) -> None:
    """A full-field digital mammogram of 32 x 48 pixels, which names nobody."""
    write(path, mammogram_file(picture(seed), **({"patient_id": ""} | options)))


def grey_image(path: Path, pixels: npt.NDArray[Any]) -> None:
    """PNG, PGM or TIFF, by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def region_list(*rois: tuple[str, list[tuple[float, float]]]) -> bytes:
    """INbreast: OsiriX's property list of the regions of one image."""
    entries = [
        {
            "Area": 0.1,
            "Center": "(1.0, 2.0, 0.0)",
            "Name": name,
            "NumberOfPoints": len(points),
            "Point_mm": [f"({x * 0.07:.6f}, {y * 0.07:.6f}, 0.000000)" for x, y in points],
            "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points],
            "Type": 19 if len(points) == 1 else 15,
        }
        for name, points in rois
    ]
    out = io.BytesIO()
    plistlib.dump({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": entries}]}, out)
    return out.getvalue()
