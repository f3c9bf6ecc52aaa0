"""Assignment of a brush mask's components to rectangles, findings of their own, and crumbs (painted by accident)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import Box, Size
from mammo.masks import Mask, union

MAX_PARTS = 10_000
"""Maximum number of components of one annotation's brush regions; more are noise of a broken tool."""

SPECK = 4
"""A component with fewer pixels is always a crumb."""

CRUMB = 0.02
"""A component smaller than this share of the neighbouring finding's area is a crumb."""

VISIBLE = 0.005
"""Side of the smallest visible component when the whole image is on the screen, as a share of the image's longer side:
four pixels of a screen with 800 lines."""

MEANT = 0.2
"""A component with this share of the neighbouring finding's area is no crumb, even if it is too small to be visible."""


@dataclass(frozen=True)
class Shares:
    """The components of a mask, assigned."""

    masks: list[Mask | None]
    """One mask per rectangle; None for a rectangle without pixels."""

    rest: list[Mask]
    """Findings without a rectangle, largest first."""

    crumbs: list[Mask]
    """Crumbs that are not within reach of a finding."""


def is_crumb(part: Mask, finding_area: int, *, size: Size, erased: bool = False) -> bool:
    """Whether a component was painted, or left over, by accident.

    Args:
        part: the component.
        finding_area: pixels of the finding with which it is compared.
        size: of the image.
        erased: a person erased in this mask, so every component too small to be visible is a remainder.
    """
    visible_area = (VISIBLE * max(size.width, size.height)) ** 2
    least = visible_area if erased else min(visible_area, MEANT * finding_area)
    return part.area < max(SPECK, CRUMB * finding_area, least)


def share_out(mask: Mask | None, boxes: Sequence[Box], *, size: Size, erased: bool) -> Shares:
    """Assign every connected component of a mask to the rectangles that it intersects.

    A component that intersects one rectangle belongs to it as far as its `reach`, because a mask follows the tissue
    rather than the box. A component that intersects several rectangles is divided: each receives the pixels inside it,
    and the nearest of the pixels between them. Pixels beyond the reach become findings of their own, or crumbs. A
    crumb within the reach of a finding is merged into it.

    Args:
        mask: all pixels of one label; None for no pixels.
        boxes: rectangles in the same image; they may overlap.
        size: of the image.
        erased: the mask was predicted, and a person changed it.

    Raises:
        InvalidRegion: the mask has more than `MAX_PARTS` components.
    """
    shares: list[list[Mask]] = [[] for _ in boxes]
    rest: list[Mask] = []
    for part in _components(mask):
        intersecting = [index for index, box in enumerate(boxes) if part.within(box)]
        outside = part
        for index in intersecting:
            near = _nearest(part, boxes, intersecting, index).within(reach(boxes[index]))
            inside = part.within(boxes[index])
            share = union(each for each in (near, inside) if each)
            if share:
                shares[index].append(share)
                outside = _difference(outside, share)
        rest.extend(outside.components())
    masks = [union(each) for each in shares]
    return _merge_crumbs(masks, boxes, sorted(rest, key=lambda each: -each.area), size=size, erased=erased)


def _merge_crumbs(
    masks: list[Mask | None], boxes: Sequence[Box], rest: list[Mask], *, size: Size, erased: bool
) -> Shares:
    """Separate findings from crumbs, and merge crumbs into the findings within whose reach they lie."""
    largest = max((each.area for each in [*masks, *rest] if each), default=0)
    findings: list[Mask] = []
    crumbs: list[Mask] = []
    for part in rest:
        if not is_crumb(part, largest, size=size, erased=erased):
            findings.append(part)
            continue
        # A rectangle without a mask does not receive a crumb as its mask: its box is more informative.
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
    """Return the box dilated by half its longer side; pixels in it belong to the mask of the box."""
    return box.dilated(max(box.width, box.height) // 2)


def nearest_box(part: Mask, boxes: Sequence[Box]) -> int:
    """Return the index of the nearest box; the first of several."""
    return min(range(len(boxes)), key=lambda index: float(_distance(part, boxes[index])[part.bitmap].min()))


def _components(mask: Mask | None) -> list[Mask]:
    components = mask.components() if mask else []
    if len(components) > MAX_PARTS:
        raise InvalidRegion(
            f"expected a mask of at most {MAX_PARTS} separate parts, got {len(components)}, which is noise; erase it"
        )
    return components


def _nearest(part: Mask, boxes: Sequence[Box], intersecting: Sequence[int], index: int) -> Mask:
    """Return the pixels of a component nearest to rectangle `index`; the first of several rectangles wins a tie."""
    if len(intersecting) == 1:
        return part
    distances = np.stack([_distance(part, boxes[other]) for other in intersecting])
    nearest = np.argmin(distances, axis=0) == intersecting.index(index)
    return Mask(part.bitmap & nearest, part.x0, part.y0)


def _distance(part: Mask, box: Box) -> npt.NDArray[np.float64]:
    """Return the distance of every pixel of a bitmap to a box, h x w, in pixels; 0 inside the box."""
    height, width = part.bitmap.shape
    x = np.arange(part.x0, part.x0 + width)
    y = np.arange(part.y0, part.y0 + height)
    dx = np.maximum(np.maximum(box.x0 - x, x - (box.x1 - 1)), 0)
    dy = np.maximum(np.maximum(box.y0 - y, y - (box.y1 - 1)), 0)
    distance: npt.NDArray[np.float64] = np.hypot(dy[:, None], dx[None, :])
    return distance


def _difference(mask: Mask, other: Mask) -> Mask:
    bitmap = mask.bitmap.copy()
    common = mask.frame.intersection(other.frame)
    if common:
        overlap = other.bitmap[common.shifted(-other.x0, -other.y0).slices]
        bitmap[common.shifted(-mask.x0, -mask.y0).slices] &= ~overlap
    return Mask(bitmap, mask.x0, mask.y0)
