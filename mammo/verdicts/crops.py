"""Crops: parts of a mammogram as grey WebP pictures, for looking, not for a diagnosis."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Size
from mammo.pixels import Pixels

CROP_MM = 25.0
"""Least side of a crop, in mm."""

CROP_PIXELS = 448
"""Longest side of a crop as stored, in pixels; a larger one is reduced."""

CROP_QUALITY = 88
"""Of WebP, in 1 to 100."""

Grey = npt.NDArray[np.uint8]
"""H x W grey levels."""


def grey_levels(pixels: Pixels) -> Grey:
    """Return pixels (H x W, float32 in [0, 1]) stretched to the percentiles 1 to 99.8 of the breast."""
    breast = pixels[::8, ::8]
    breast = breast[breast > 0]
    low, high = np.percentile(breast, (1.0, 99.8)) if breast.size else (0.0, 1.0)
    return np.clip((pixels - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)


def frame_around(box: Box, size: Size, *, column_mm: float | None) -> Box:
    """Return a square around a box, inside the image where the image is large enough.

    Args:
        box: pixels.
        size: of the image.
        column_mm: distance of two columns in mm; None: unknown, and the square has at least `CROP_PIXELS`.
    """
    least = CROP_MM / column_mm if column_mm else CROP_PIXELS
    side = round(max(least, 1.5 * max(box.width, box.height)))
    width, height = min(side, size.width), min(side, size.height)
    return Box.centred(*box.centre, width=width, height=height).moved_into(size)


def encode(
    grey: Grey, frame: Box, *, side: int = CROP_PIXELS, quality: int = CROP_QUALITY
) -> tuple[bytes, Size]:
    """Return a part of an image as WebP, and its size in pixels.

    Args:
        frame: the part, in pixels of the image, inside it.
        side: longest side of the picture; a larger part is reduced.
        quality: in 1 to 100.
    """
    cut: npt.NDArray[Any] = np.ascontiguousarray(grey[frame.slices])
    scale = min(1.0, side / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    if scale < 1:
        cut = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".webp", cut, [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done, "a grey image can be encoded"
    return encoded.tobytes(), Size(width, height)
