"""What a mask measures: the paper's equation 12, and sizes in millimetres.

    S = {(x, y) | mask[y][x] = 1}                                           (eq. 12)

The bounding box comes from the minima and maxima over S; the boundary is where S meets what is not in S.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Spacing
from mammo.masks.mask import Mask
from mammo.masks.pixel_edges import edge_loops

Coordinates = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Size of a mask; millimetres are None where the image states no pixel spacing."""

    area_pixels: int
    """Set pixels."""

    box: Box
    """From the minima and maxima."""

    longest_pixels: float
    """Greatest distance between two corners of set pixels, in pixels of the mean spacing."""

    area_mm2: float | None
    """In mm squared."""

    width_mm: float | None
    """Of the box, across the image."""

    height_mm: float | None
    """Of the box, down the image."""

    longest_mm: float | None
    """Greatest distance between two corners of set pixels."""


def coordinates(mask: Mask) -> Coordinates:
    """S of equation 12: N x 2 (x, y), row by row, in the image frame."""
    y, x = np.nonzero(mask.bitmap)
    return np.stack([x + mask.x0, y + mask.y0], axis=1)


def bounding_box(points: Coordinates) -> Box:
    """The box of N x 2 coordinates, from their minima and maxima (half open: the maxima are inside).

    Raises:
        ValueError: no coordinates.
    """
    if not len(points):
        raise ValueError("an empty set has no box")
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Box(x0, y0, x1 + 1, y1 + 1)


def boundary(mask: Mask) -> Coordinates:
    """The pixels of S with one of their four neighbours outside S: N x 2 (x, y), row by row, in the image frame."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    padded = np.pad(mask.bitmap, 1).view(np.uint8)
    inner = cv2.erode(padded, cross)[1:-1, 1:-1] != 0
    return coordinates(Mask(mask.bitmap & ~inner, mask.x0, mask.y0))


def extent(mask: Mask, *, spacing: Spacing | None) -> Extent:
    """Measure a mask.

    Args:
        spacing: of the image's pixels; None measures in pixels only.

    Raises:
        ValueError: no pixel is set.
    """
    box = bounding_box(coordinates(mask))
    corners = np.array([corner for loop in edge_loops(mask) for corner in loop], np.float64)
    across, down = (spacing.column_mm, spacing.row_mm) if spacing else (1.0, 1.0)
    longest = _longest(corners * (across, down))
    return Extent(
        area_pixels=mask.area,
        box=box,
        longest_pixels=longest / (spacing.mean_mm if spacing else 1.0),
        area_mm2=mask.area * across * down if spacing else None,
        width_mm=box.width * across if spacing else None,
        height_mm=box.height * down if spacing else None,
        longest_mm=longest if spacing else None,
    )


def _longest(points: npt.NDArray[np.float64]) -> float:
    """The diameter of a set of points; only those on the convex hull can be the two farthest apart."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    return float(max(np.hypot(*(hull - corner).T).max() for corner in hull))
