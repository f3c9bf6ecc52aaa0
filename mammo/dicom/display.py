"""The display twin: an 8-bit image of a mammogram for annotation, with the same pixel grid."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.dicom.reading import read_stored

PNG_LEVEL = 1
"""Fastest deflate level: a sixth of the default's time for a fifth more bytes."""


def display_twin(
    source: Path | bytes,
    *,
    max_bytes: int = MAX_BYTES,
    convert_for_processing: bool = False,
) -> npt.NDArray[np.uint8]:
    """Return the image as a viewer first displays it: H x W grey levels, dense tissue bright, not resampled.

    The grey scale is the file's first VOI window, else its VOI LUT, else percentiles of the pixels; padding is black.

    Args:
        source, max_bytes, convert_for_processing: see `read_mammogram`.

    Raises:
        UnreadableImage, UnsupportedImage: as `read_mammogram`.
    """
    data = read_bytes(source, max_bytes=max_bytes)
    stored = read_stored(
        data, spacing=None, max_bytes=max_bytes, convert_for_processing=convert_for_processing
    )
    return stored.display()


def encode_png(grey: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """Encode an H x W image of 8 or 16 bits as PNG."""
    is_encoded, encoded = cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    assert is_encoded, "OpenCV encodes every grey array of 8 or 16 bits"
    return encoded.tobytes()
