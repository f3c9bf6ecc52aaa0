"""Share the one brush of an annotation out to its rectangles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import Box
from mammo.masks import Mask, union

SPECK = 4
"""A brush part without a rectangle and with fewer pixels than this is a slip of the eraser, no finding."""

MAX_PARTS = 10_000
"""Most separate parts of one annotation's brush; a person paints a few, a broken tool any number."""


def share_out(brush: Mask | None, boxes: Sequence[Box]) -> tuple[list[Mask | None], list[Mask]]:
    """Give every connected part of a brush to the rectangles it meets.

    A part that meets one rectangle, and stays within half that rectangle's longer side around it, is that
    rectangle's whole: masks end at the tissue and not at the box. A part that meets several is cut: each takes what
    lies inside it, and what lies between them goes to the nearest. Anything farther out is a finding of its own.

    Args:
        brush: all brushed pixels of one label; None when there are none.
        boxes: rectangles in the same image; they may overlap.

    Returns:
        Per rectangle its mask or None; and the parts without a rectangle, largest first.

    Raises:
        InvalidRegion: more than `MAX_PARTS` separate parts.
    """
    shares: list[list[Mask]] = [[] for _ in boxes]
    rest: list[Mask] = []
    parts = brush.components() if brush else []
    if len(parts) > MAX_PARTS:
        raise InvalidRegion(f"a brush of {len(parts)} separate parts is noise; at most {MAX_PARTS} are read")
    for part in parts:
        met = [index for index, box in enumerate(boxes) if part.within(box)]
        outside = part
        for index in met:
            reach = boxes[index].dilated(max(boxes[index].width, boxes[index].height) // 2)
            near = _nearest(part, boxes, met, index).within(reach)
            inside = part.within(boxes[index])
            share = union(mask for mask in (near, inside) if mask)
            if share:
                shares[index].append(share)
                outside = _without(outside, share)
        rest.extend(piece for piece in outside.components() if piece.area >= SPECK)
    return [union(masks) for masks in shares], sorted(rest, key=lambda mask: -mask.area)


def _nearest(part: Mask, boxes: Sequence[Box], met: Sequence[int], index: int) -> Mask:
    """The pixels of a part that lie nearer to rectangle `index` than to the others it meets; ties go to the first."""
    if len(met) == 1:
        return part
    distances = np.stack([_distance(part, boxes[other]) for other in met])
    mine = np.argmin(distances, axis=0) == met.index(index)
    return Mask(part.bitmap & mine, part.x0, part.y0)


def _distance(part: Mask, box: Box) -> npt.NDArray[np.float64]:
    """Distance from every pixel of a part's bitmap to a box, in pixels; 0 inside."""
    height, width = part.bitmap.shape
    x = np.arange(part.x0, part.x0 + width)
    y = np.arange(part.y0, part.y0 + height)
    dx = np.maximum(np.maximum(box.x0 - x, x - (box.x1 - 1)), 0)
    dy = np.maximum(np.maximum(box.y0 - y, y - (box.y1 - 1)), 0)
    distance: npt.NDArray[np.float64] = np.hypot(dy[:, None], dx[None, :])
    return distance


def _without(mask: Mask, gone: Mask) -> Mask:
    left = mask.bitmap.copy()
    common = mask.frame.intersection(gone.frame)
    if common:
        mine = common.shifted(-mask.x0, -mask.y0).slices
        left[mine] &= ~gone.bitmap[common.shifted(-gone.x0, -gone.y0).slices]
    return Mask(left, mask.x0, mask.y0)
