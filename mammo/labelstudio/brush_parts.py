"""Parts of a mask: which belong together, which to a rectangle, and which are crumbs that nobody meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import Box, Size
from mammo.masks import Mask, union

MAX_PARTS = 10_000
"""Most separate parts of one annotation's brush; a person paints a few, a broken tool any number."""

SPECK = 4
"""Fewer pixels than these nobody paints on purpose."""

CRUMB = 0.02
"""A part smaller than this share of the finding beside it was not meant as a finding."""

VISIBLE = 0.005
"""Side of the smallest part that is seen on the screen with the whole image in view, as a share of its longer side:
four pixels of a screen 800 pixels high."""

MEANT = 0.2
"""A part too small to be seen is meant all the same if it has this share of the finding beside it."""


@dataclass(frozen=True)
class Shares:
    """What became of the parts of a mask."""

    masks: list[Mask | None]
    """Of each rectangle."""

    rest: list[Mask]
    """Findings without a rectangle, largest first."""

    crumbs: list[Mask]
    """Left out: too small to be seen or meant, and far from any finding."""


def is_crumb(part: Mask, beside: int, *, size: Size, erased: bool = False) -> bool:
    """Whether a part was not meant.

    Args:
        beside: pixels of the finding that it is compared with.
        size: of the image.
        erased: a person erased, so that what is too small to be seen is left by mistake, whatever its share.
    """
    seen = (VISIBLE * max(size.width, size.height)) ** 2
    return part.area < max(SPECK, CRUMB * beside, seen if erased else min(seen, MEANT * beside))


def share_out(mask: Mask | None, boxes: Sequence[Box], *, size: Size, erased: bool) -> Shares:
    """Give every connected part of a mask to the rectangles it meets.

    A part that meets one rectangle, and stays within half that rectangle's longer side around it, is that
    rectangle's whole: masks end at the tissue and not at the box. A part that meets several is cut: each takes what
    lies inside it, and what lies between them goes to the nearest. Anything farther out is a finding of its own, or a
    crumb: a crumb within the same reach of a finding joins it, the others are left out.

    Args:
        mask: all pixels of one label; None when there are none.
        boxes: rectangles in the same image; they may overlap.
        erased: a model sent the mask, and a person changed it.

    Raises:
        InvalidRegion: more than `MAX_PARTS` separate parts.
    """
    shares: list[list[Mask]] = [[] for _ in boxes]
    rest: list[Mask] = []
    for part in _parts(mask):
        met = [index for index, box in enumerate(boxes) if part.within(box)]
        outside = part
        for index in met:
            near = _nearest(part, boxes, met, index).within(reach(boxes[index]))
            inside = part.within(boxes[index])
            share = union(each for each in (near, inside) if each)
            if share:
                shares[index].append(share)
                outside = _without(outside, share)
        rest.extend(outside.components())
    masks = [union(each) for each in shares]
    return _placed(masks, boxes, sorted(rest, key=lambda each: -each.area), size=size, erased=erased)


def _placed(
    masks: list[Mask | None], boxes: Sequence[Box], rest: list[Mask], *, size: Size, erased: bool
) -> Shares:
    """Tell findings from crumbs, and join those crumbs that lie beside a finding to it."""
    largest = max((each.area for each in [*masks, *rest] if each), default=0)
    findings: list[Mask] = []
    crumbs: list[Mask] = []
    for part in rest:
        if not is_crumb(part, largest, size=size, erased=erased):
            findings.append(part)
            continue
        # A crumb is never all that a rectangle has: its box alone says more.
        owner = next((i for i, box in enumerate(boxes) if masks[i] and part.within(reach(box))), None)
        near = next((i for i, each in enumerate(findings) if part.within(reach(each.frame))), None)
        if owner is not None:
            masks[owner] = union(each for each in (masks[owner], part) if each)
        elif near is not None:
            findings[near] = union([findings[near], part]) or part
        else:
            crumbs.append(part)
    return Shares(masks, findings, crumbs)


def reach(box: Box) -> Box:
    """The box and half its longer side around it: what lies there belongs to what lies in the box."""
    return box.dilated(max(box.width, box.height) // 2)


def nearest_box(part: Mask, boxes: Sequence[Box]) -> int:
    """Index of the box that a part lies nearest to; of several the first."""
    return min(range(len(boxes)), key=lambda index: float(_distance(part, boxes[index])[part.bitmap].min()))


def _parts(mask: Mask | None) -> list[Mask]:
    parts = mask.components() if mask else []
    if len(parts) > MAX_PARTS:
        raise InvalidRegion(f"a mask of {len(parts)} separate parts is noise; at most {MAX_PARTS} are read")
    return parts


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
