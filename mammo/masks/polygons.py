"""Polygons and masks: an outline becomes the pixels whose centres it encloses, and pixels become few vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mammo.geometry import Box, Size
from mammo.masks.mask import Mask
from mammo.masks.pixel_edges import Corner, edge_loops, signed_area

Vertices = npt.NDArray[np.float64]

SMALL = 32
"""Side in pixels up to which a part is small: there half a pixel is all that its outline may move."""

TOLERANCE_SMALL, TOLERANCE = 0.5, 1.0
"""Most pixels that simplifying may move an outline, of a small part and of a larger one."""

MIN_IOU = 0.98
"""What the polygons' mask and the mask they were made of have in common, at least."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """One closed outline."""

    vertices: Vertices
    """N x 2 (x, y), continuous pixel frame of the image."""

    hole: bool
    """It surrounds background inside a part."""


def polygon_mask(vertices: Vertices, *, size: Size) -> Mask | None:
    """Fill a closed polygon by the even-odd rule.

    Args:
        vertices: N x 2 (x, y), continuous pixel frame, any winding; may cross itself and leave the image.
        size: of the image; what lies outside is cut off.

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
        rows = np.arange(max(first, frame.y0), min(last, frame.y1))  # their centres lie between a and b
        if not rows.size:
            continue
        x = ax + (rows + 0.5 - ay) * (bx - ax) / (by - ay)
        columns = np.clip(np.ceil(x - 0.5), frame.x0, frame.x1).astype(np.int64) - frame.x0
        crossings[rows.astype(np.int64) - frame.y0, columns] += 1
    inside = np.cumsum(crossings[:, :-1], axis=1) % 2 == 1
    return Mask(inside, frame.x0, frame.y0).tight()


def mask_polygons(mask: Mask) -> list[Polygon]:
    """The outlines of a mask with few vertices, largest part first; holes follow all parts.

    An outline runs between the centres of pixels inside and outside and is then simplified (Douglas and Peucker 1973)
    by at most `TOLERANCE_SMALL` or `TOLERANCE`, less where the pixels would change too much: painted by the even-odd
    rule the polygons have an IoU of `MIN_IOU` or more with each part's pixels.
    """
    found: list[Polygon] = []
    for part in mask.components():
        found += _part_polygons(part)
    return sorted(found, key=lambda polygon: polygon.hole)


def mask_outline(mask: Mask, *, min_part: float, exact: bool) -> Vertices:
    """One closed outline of a whole mask: N x 2 (x, y), continuous pixel frame of the image.

    Further parts, and holes, are joined to the nearest corner by a line that is drawn there and back, so that by the
    even-odd rule the line covers nothing.

    Args:
        min_part: share of the largest part's pixels below which a part is left out.
        exact: along the pixels' edges, with its holes; else simplified as by `mask_polygons`, and without holes.
    """
    parts = mask.components()
    outline: Vertices = np.zeros((0, 2))
    for part in parts:
        if part.area < min_part * parts[0].area:
            break
        for vertices in _loops(part, exact=exact):
            outline = _joined(outline, vertices)
    return outline


def _loops(part: Mask, *, exact: bool) -> list[Vertices]:
    if exact:
        return [np.array(loop, np.float64) for loop in edge_loops(part)]
    filled = Mask(ndimage.binary_fill_holes(part.bitmap), part.x0, part.y0)
    return [polygon.vertices for polygon in _part_polygons(filled)]


def _joined(outline: Vertices, more: Vertices) -> Vertices:
    if not len(outline):
        return more
    distances = np.hypot(*np.moveaxis(outline[:, None] - more[None], -1, 0))
    here, there = np.unravel_index(int(np.argmin(distances)), distances.shape)
    around = np.concatenate([more[there:], more[: there + 1]])
    return np.concatenate([outline[: here + 1], around, outline[here:]])


def polygons_mask(polygons: Sequence[Polygon], *, size: Size) -> Mask | None:
    """Parts painted, holes cut out; None when no pixel centre is inside."""
    full = np.zeros((size.height, size.width), np.bool_)
    for polygon in sorted(polygons, key=lambda polygon: polygon.hole):
        mask = polygon_mask(polygon.vertices, size=size)
        if mask is not None:
            mask.paste(full, value=0 if polygon.hole else 1)
    return Mask.from_full(full)


def _part_polygons(part: Mask) -> list[Polygon]:
    loops = edge_loops(part)
    small = max(part.bitmap.shape) <= SMALL
    tolerance = TOLERANCE_SMALL if small else TOLERANCE
    size = Size(part.frame.x1, part.frame.y1)
    while tolerance > 0.1:
        polygons = [
            Polygon(_simplified(_midpoints(loop), tolerance), hole=signed_area(loop) < 0) for loop in loops
        ]
        painted = polygons_mask(polygons, size=size)
        if painted is not None and painted.iou(part) >= MIN_IOU:
            return polygons
        tolerance /= 2
    return [Polygon(np.array(loop, np.float64), hole=signed_area(loop) < 0) for loop in loops]


def _midpoints(loop: Sequence[Corner]) -> Vertices:
    """The middle of every pixel edge on an outline."""
    corners = np.array(loop, np.float64)
    points = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = round(float(np.abs(end - start).sum()))
        points.append(start + (np.arange(length)[:, None] + 0.5) / length * (end - start))
    return np.concatenate(points)


def _simplified(vertices: Vertices, tolerance: float) -> Vertices:
    origin = vertices[0]  # float32 holds what is near zero better
    fewer = cv2.approxPolyDP((vertices - origin).astype(np.float32)[:, None], tolerance, closed=True)[:, 0]
    return fewer.astype(np.float64) + origin if len(fewer) >= 3 else vertices
