"""Corrections of a mask by one click: what a positive click adds to it, and what a negative one takes away.

A network's answer to a click is a mask of its own, which may differ from the corrected one everywhere. A person who
corrects an outline expects that it changes at the click and nowhere else. So a mask keeps its pixels beyond `REACH_MM`
of the click; a positive click adds only, a negative click removes only.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Point, Spacing
from mammo.masks.mask import Bitmap, Mask

REACH_MM = 10.0
"""Radius around a click within which a mask changes."""

SURE_MM = 3.0
"""Radius around a negative click within which a pixel is removed because the network's answer is without it."""

CLICK_MM = 0.5
"""Radius of the disc at a click that is always added or removed."""

MIN_PART = 0.05
"""What a negative click cuts off is removed, too, if it is smaller than this share of the largest part."""

_Distances = npt.NDArray[np.float64]


def grown(mask: Mask, point: Point, *, answer: Mask | None, spacing: Spacing) -> Mask:
    """Return the mask with a positive click and what the network sees there.

    The result holds every pixel of the mask, the disc at the click, and the pixels of the answer within `REACH_MM`. A
    click that is still separate from the mask is connected to its nearest pixel by a band as wide as the disc.

    Args:
        mask: with at least one pixel.
        answer: the network's answer to the click; None: it saw nothing.
        spacing: pixel spacing of the image.
    """
    reach = _around(point, REACH_MM, spacing)
    seen = answer.within(reach) if answer else None
    frame = mask.frame.union(reach)
    own = _in(mask, frame)
    far = _distance(frame, [point], spacing)
    added = far <= CLICK_MM
    if seen is not None:
        added |= _in(seen, frame) & (far <= REACH_MM)
    if not _touches(own | added, own, point, frame):
        added |= _band(own, point, frame, spacing)
    _, labels = cv2.connectedComponents((own | added).view(np.uint8), connectivity=8)
    wanted = np.unique(labels[own])
    result = Mask(np.isin(labels, wanted[wanted > 0]), frame.x0, frame.y0).tight()
    assert result is not None, "a mask only grows"
    return result


def shrunk(
    mask: Mask, point: Point, *, answer: Mask | None, kept: Sequence[Point], spacing: Spacing
) -> Mask | None:
    """Return the mask without a negative click and what belongs to it; None when nothing is left.

    Within `REACH_MM` of the click, the pixels that are nearer to it than to a point that stays are removed, and within
    `SURE_MM` those that the network's answer is without.

    Args:
        answer: the network's answer to the click; None: it sees nothing else, and only the first rule applies.
        kept: points that stay: specks of the lesion, and positive clicks. Without any, only the second rule applies.
        spacing: pixel spacing of the image.
    """
    common = mask.frame.intersection(_around(point, REACH_MM, spacing))
    if common is None:
        return mask
    far = _distance(common, [point], spacing)
    gone = far <= CLICK_MM
    if kept:
        gone |= (far <= REACH_MM) & (far < _distance(common, kept, spacing))
    if answer is not None:
        gone |= (far <= SURE_MM) & ~_in(answer, common)
    bitmap = mask.bitmap.copy()
    bitmap[common.shifted(-mask.x0, -mask.y0).slices] &= ~gone
    left = Mask(bitmap, mask.x0, mask.y0).tight()
    if left is None:
        return None
    parts = left.components()
    small = [
        part
        for part in parts
        if part.area < MIN_PART * parts[0].area and not any(part.holds(each) for each in kept)
    ]
    for part in small:
        left.bitmap[part.frame.shifted(-left.x0, -left.y0).slices][part.bitmap] = False
    return left.tight()


def _around(point: Point, millimetres: float, spacing: Spacing) -> Box:
    """Return the box that holds the disc around a pixel; it may extend beyond the image."""
    across, down = (int(millimetres / side) + 1 for side in (spacing.column_mm, spacing.row_mm))
    return Box(point.x - across, point.y - down, point.x + across + 1, point.y + down + 1)


def _distance(frame: Box, points: Sequence[Point], spacing: Spacing) -> _Distances:
    """Return h x w, the distance of every pixel of a frame from the nearest of the points, in mm."""
    x, y = np.arange(frame.x0, frame.x1)[None], np.arange(frame.y0, frame.y1)[:, None]
    nearest = np.full((frame.height, frame.width), np.inf)
    for point in points:
        away = np.hypot((x - point.x) * spacing.column_mm, (y - point.y) * spacing.row_mm)
        np.minimum(nearest, away, out=nearest)
    return nearest


def _in(mask: Mask, frame: Box) -> Bitmap:
    """Return h x w, the pixels of a mask in a frame."""
    bitmap = np.zeros((frame.height, frame.width), np.bool_)
    common = mask.frame.intersection(frame)
    if common is not None:
        inner = mask.bitmap[common.shifted(-mask.x0, -mask.y0).slices]
        bitmap[common.shifted(-frame.x0, -frame.y0).slices] = inner
    return bitmap


def _touches(together: Bitmap, own: Bitmap, point: Point, frame: Box) -> bool:
    """Whether the component of a point holds a pixel of the mask."""
    _, labels = cv2.connectedComponents(together.view(np.uint8), connectivity=8)
    return bool((own & (labels == labels[point.y - frame.y0, point.x - frame.x0])).any())


def _band(own: Bitmap, point: Point, frame: Box, spacing: Spacing) -> Bitmap:
    """Return the pixels within `CLICK_MM` of the line from a point to the nearest pixel of the mask."""
    rows, columns = np.nonzero(own)
    x, y = (columns + frame.x0 - point.x) * spacing.column_mm, (rows + frame.y0 - point.y) * spacing.row_mm
    nearest = int(np.argmin(np.hypot(x, y)))
    end_x, end_y = x[nearest], y[nearest]
    across = (np.arange(frame.x0, frame.x1)[None] - point.x) * spacing.column_mm
    down = (np.arange(frame.y0, frame.y1)[:, None] - point.y) * spacing.row_mm
    share = np.clip((across * end_x + down * end_y) / (end_x**2 + end_y**2), 0, 1)
    band: Bitmap = np.hypot(across - share * end_x, down - share * end_y) <= CLICK_MM
    return band
