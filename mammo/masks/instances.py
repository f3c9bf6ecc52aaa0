"""Split a mask into calcification instances: connected components, filtered by their size in millimetres."""

from __future__ import annotations

import cv2
import numpy as np

from mammo.geometry import ASSUMED_SPACING, Spacing
from mammo.masks.mask import Mask

GAP_MM = 0.1
"""Components closer than this belong to one calcification that noise has broken up."""

MAX_INSTANCES = 1000
"""Maximum number of instances per mask; the largest are returned."""


def calcifications(
    mask: Mask,
    *,
    spacing: Spacing | None,
    min_diameter_mm: float,
    gap_mm: float,
) -> list[Mask]:
    """Return the calcification instances of a mask, largest first. They share no pixel.

    Args:
        mask: all calcification pixels of one region.
        spacing: pixel spacing; None assumes 0.07 mm, and the instances must then not be measured in millimetres.
        min_diameter_mm: an instance has at least the area of a disc of this diameter.
        gap_mm: components closer than this are joined into one instance without adding pixels; 0 joins only
            8-connected pixels.
    """
    pixel = spacing or ASSUMED_SPACING
    gap_x, gap_y = (round(gap_mm / side) for side in (pixel.column_mm, pixel.row_mm))
    margin = max(gap_x, gap_y)
    closed = np.pad(mask.bitmap, margin + 1).view(np.uint8)
    if margin > 0:
        # OpenCV's ellipse one pixel high is a single pixel.
        shape = cv2.MORPH_ELLIPSE if gap_x and gap_y else cv2.MORPH_RECT
        disc = cv2.getStructuringElement(shape, (2 * gap_x + 1, 2 * gap_y + 1))
        closed = cv2.morphologyEx(closed, cv2.MORPH_CLOSE, disc)  # type: ignore[assignment]
    _, labels = cv2.connectedComponents(closed, connectivity=8)
    inner = slice(margin + 1, -(margin + 1))
    labels = np.where(mask.bitmap, labels[inner, inner], 0)
    min_area = max(1.0, np.pi / 4 * min_diameter_mm**2 / (pixel.row_mm * pixel.column_mm))
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    largest = np.argsort(-areas, kind="stable")[:MAX_INSTANCES]
    instances = [
        Mask(labels == label, mask.x0, mask.y0).tight() for label in largest if areas[label] >= min_area
    ]
    return [instance for instance in instances if instance is not None]
