"""Conversion between polygons and masks: rasterised by pixel centres, vectorised with few vertices."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mammo.geometry import Box, Size
from mammo.masks.mask import Mask, union
from mammo.masks.pixel_edges import Corner, edge_loops

Vertices = npt.NDArray[np.float64]

SMALL = 32
"""Longest side of a small component, in pixels; `TOLERANCE_SMALL` applies up to it."""

TOLERANCE_SMALL, TOLERANCE = 0.5, 1.0
"""Maximum distance between an outline and its simplification, in pixels, for small and for larger components."""

MIN_IOU = 0.98
"""Least IoU of a component, holes filled, and its rasterised outline."""


def polygon_mask(vertices: Vertices, *, size: Size) -> Mask | None:
    """Rasterise a closed polygon by the even-odd rule: a pixel is set when its centre lies inside.

    Args:
        vertices: N x 2 (x, y) in the continuous pixel frame, of any winding; may cross itself and leave the image.
        size: of the image, at which the mask is clipped.

    Returns:
        The tight mask; None when no pixel centre of the image is inside.
    """
    (x0, y0), (x1, y1) = vertices.min(axis=0), vertices.max(axis=0)
    frame = Box.around(float(x0), float(y0), float(x1), float(y1)).intersection(size.box)
    if frame is None:
        return None
    crossings = np.zeros((frame.height, frame.width + 1), np.int32)
    for (ax, ay), (bx, by) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        first, last = np.ceil(np.array([min(ay, by), max(ay, by)]) - 0.5)
        # Rows whose centres lie between a and b.
        rows = np.arange(max(first, frame.y0), min(last, frame.y1))
        if not rows.size:
            continue
        x = ax + (rows + 0.5 - ay) * (bx - ax) / (by - ay)
        columns = np.clip(np.ceil(x - 0.5), frame.x0, frame.x1).astype(np.int64) - frame.x0
        crossings[rows.astype(np.int64) - frame.y0, columns] += 1
    inside = np.cumsum(crossings[:, :-1], axis=1) % 2 == 1
    return Mask(inside, frame.x0, frame.y0).tight()


def mask_outline(mask: Mask, *, min_part: float, exact: bool) -> Vertices:
    """Return one closed outline of a whole mask: N x 2 (x, y) in the continuous pixel frame of the image.

    Each further component or hole is connected to the nearest vertex by a line that runs there and back: by the
    even-odd rule it encloses nothing.

    Args:
        mask: the mask.
        min_part: components with less than this share of the largest component's pixels are left out.
        exact: along the pixel edges, with holes; otherwise holes are filled, and the outline through the midpoints of
            the pixel edges is simplified (Douglas and Peucker 1973) by at most `TOLERANCE_SMALL` or `TOLERANCE`. The
            tolerance is halved until the rasterised outline of each component reaches an IoU of `MIN_IOU` with it.
    """
    components = mask.components()
    outline: Vertices = np.zeros((0, 2))
    for component in components:
        if component.area < min_part * components[0].area:
            break
        for vertices in _outlines(component, exact=exact):
            outline = _connected(outline, vertices)
    return outline


def _outlines(component: Mask, *, exact: bool) -> list[Vertices]:
    """Return one outline, or several where parts of the component touch at a corner only, or holes are kept."""
    if not exact:
        return _simplified_outlines(
            Mask(ndimage.binary_fill_holes(component.bitmap), component.x0, component.y0)
        )
    return [np.array(loop, np.float64) for loop in edge_loops(component)]


def _connected(outline: Vertices, other: Vertices) -> Vertices:
    """Insert a second closed outline at the pair of vertices that lie nearest to each other."""
    if not len(outline):
        return other
    distances = np.hypot(*np.moveaxis(outline[:, None] - other[None], -1, 0))
    here, there = np.unravel_index(int(np.argmin(distances)), distances.shape)
    detour = np.concatenate([other[there:], other[: there + 1]])
    return np.concatenate([outline[: here + 1], detour, outline[here:]])


def _simplified_outlines(component: Mask) -> list[Vertices]:
    loops = edge_loops(component)
    size = Size(component.frame.x1, component.frame.y1)
    tolerance = TOLERANCE_SMALL if max(component.bitmap.shape) <= SMALL else TOLERANCE
    while tolerance > 0.1:
        outlines = [_simplified(_midpoints(loop), tolerance) for loop in loops]
        masks = [polygon_mask(outline, size=size) for outline in outlines]
        rasterised = union(mask for mask in masks if mask is not None)
        if rasterised is not None and rasterised.iou(component) >= MIN_IOU:
            return outlines
        tolerance /= 2
    return [np.array(loop, np.float64) for loop in loops]


def _midpoints(loop: Sequence[Corner]) -> Vertices:
    """Return the midpoint of every pixel edge of an outline, N x 2."""
    corners = np.array(loop, np.float64)
    points = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = round(float(np.abs(end - start).sum()))
        points.append(start + (np.arange(length)[:, None] + 0.5) / length * (end - start))
    return np.concatenate(points)


def _simplified(vertices: Vertices, tolerance: float) -> Vertices:
    origin = vertices[0]  # OpenCV takes float32, which is most precise near zero.
    fewer = cv2.approxPolyDP((vertices - origin).astype(np.float32)[:, None], tolerance, closed=True)[:, 0]
    return fewer.astype(np.float64) + origin if len(fewer) >= 3 else vertices
