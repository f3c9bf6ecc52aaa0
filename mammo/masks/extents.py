"""Measurements of a mask: the paper's equation 12, and sizes in millimetres.

    S = {(x, y) | mask[y][x] = 1}                                           (eq. 12)

The bounding box spans the minima and maxima over S; the boundary holds the pixels of S that have a neighbour outside S.
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
    """Size of a mask. The fields in millimetres are None without a pixel spacing."""

    area_pixels: int
    """Number of set pixels."""

    box: Box
    """Bounding box, in image pixels."""

    area_mm2: float | None
    """Area in mm²."""

    width_mm: float | None
    """Width of the bounding box."""

    height_mm: float | None
    """Height of the bounding box."""

    longest_mm: float | None
    """Largest distance between two pixel corners."""


def coordinates(mask: Mask) -> Coordinates:
    """Return the set S of equation 12: N x 2 (x, y), int64, row by row, in the image frame."""
    y, x = np.nonzero(mask.bitmap)
    return np.stack([x + mask.x0, y + mask.y0], axis=1)


def bounding_box(points: Coordinates) -> Box:
    """Return the half-open bounding box of N x 2 (x, y) pixel coordinates.

    Raises:
        ValueError: there are no coordinates.
    """
    if not len(points):
        raise ValueError("expected at least one coordinate, got none: an empty set has no bounding box")
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Box(x0, y0, x1 + 1, y1 + 1)


def boundary(mask: Mask) -> Coordinates:
    """Return the pixels of S with a 4-neighbour outside S: N x 2 (x, y), row by row, in the image frame."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    pixels = np.pad(mask.bitmap, 1).view(np.uint8)
    np.bitwise_xor(pixels, cv2.erode(pixels, cross).astype(np.uint8, copy=False), out=pixels)
    return coordinates(Mask(pixels[1:-1, 1:-1].view(np.bool_), mask.x0, mask.y0))


def extent(mask: Mask, *, spacing: Spacing | None) -> Extent:
    """Measure a mask.

    Args:
        mask: with at least one set pixel.
        spacing: pixel spacing of the image; None measures in pixels only.

    Raises:
        ValueError: no pixel is set.
    """
    box = bounding_box(coordinates(mask))
    column_mm, row_mm = (spacing.column_mm, spacing.row_mm) if spacing else (1.0, 1.0)
    corners = np.array([corner for loop in edge_loops(mask) for corner in loop], np.float64)
    return Extent(
        area_pixels=mask.area,
        box=box,
        area_mm2=mask.area * column_mm * row_mm if spacing else None,
        width_mm=box.width * column_mm if spacing else None,
        height_mm=box.height * row_mm if spacing else None,
        longest_mm=_diameter(corners * (column_mm, row_mm)) if spacing else None,
    )


def _diameter(points: npt.NDArray[np.float64]) -> float:
    """Return the largest distance between two of N x 2 points; both lie on the convex hull."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    return float(max(np.hypot(*(hull - corner).T).max() for corner in hull))
