"""One mask becomes its calcifications: connected parts, cleaned by sizes in millimetres."""

from __future__ import annotations

import cv2
import numpy as np

from mammo.geometry import ASSUMED_SPACING, Spacing
from mammo.masks.mask import Mask

GAP_MM = 0.1
"""Parts that are no farther apart than this are one calcification, broken by noise."""

MOST = 1000
"""Parts of one mask, at most; the largest are kept."""


def calcifications(
    mask: Mask,
    *,
    spacing: Spacing | None,
    smallest_mm: float,
    gap_mm: float,
) -> list[Mask]:
    """The instances of a mask, each with its own pixels only, largest first.

    Args:
        spacing: of the pixels; where the image states none, 0.07 mm is taken, and sizes are no measurements.
        smallest_mm: a part is kept when its area is that of a disc of this diameter or more.
        gap_mm: parts this close are joined into one instance; no pixel is added. 0 joins only what touches.
    """
    pixel = spacing or ASSUMED_SPACING
    across, down = (round(gap_mm / side) for side in (pixel.column_mm, pixel.row_mm))
    reach = max(across, down)
    grown = np.pad(mask.bitmap, reach + 1).view(np.uint8)
    if reach > 0:
        # OpenCV's ellipse one pixel high is a dot.
        shape = cv2.MORPH_ELLIPSE if across and down else cv2.MORPH_RECT
        disc = cv2.getStructuringElement(shape, (2 * across + 1, 2 * down + 1))
        grown = cv2.morphologyEx(grown, cv2.MORPH_CLOSE, disc)  # type: ignore[assignment]
    _, labels = cv2.connectedComponents(grown, connectivity=8)
    inner = slice(reach + 1, -(reach + 1))
    labels = np.where(mask.bitmap, labels[inner, inner], 0)
    least = np.pi / 4 * smallest_mm**2 / (pixel.row_mm * pixel.column_mm)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    kept = [index for index in np.argsort(-areas, kind="stable")[:MOST] if areas[index] >= max(1.0, least)]
    parts = [_part(mask, labels == index) for index in kept]
    return [part for part in parts if part is not None]


def _part(mask: Mask, bitmap: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Mask | None:
    return Mask(bitmap, mask.x0, mask.y0).tight()
