"""Assignment of a brush mask's components to rectangles, findings of their own, and crumbs (painted by accident)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import Box, Size
from mammo.masks import Mask, union
from mammo.masks.budget import MAX_DECODED

MAX_PARTS = 10_000
"""Maximum number of components of one annotation's brush regions; more are noise of a broken tool."""

MAX_FINDINGS = 1000
"""Maximum number of findings of an annotation on one image."""

ROWS = 2**18
"""Distances that are computed at a time."""

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
        InvalidRegion: the mask has more than `MAX_PARTS` components, components within each other, or one that
            intersects too many rectangles.
    """
    shares: list[list[Mask]] = [[] for _ in boxes]
    rest: list[Mask] = []
    corners = _Corners(boxes)
    for part in components_of(mask) if mask else ():
        intersecting = [index for index in corners.meeting(part.frame) if part.within(boxes[index])]
        if not intersecting:
            rest.append(part)
            continue
        outside = part
        for index, nearest in zip(
            intersecting, _divided(part, [boxes[i] for i in intersecting]), strict=True
        ):
            near = nearest.within(reach(boxes[index]))
            inside = part.within(boxes[index])
            share = union(each for each in (near, inside) if each)
            if share:
                shares[index].append(share)
                outside = _difference(outside, share)
        rest.extend(components_of(outside))
    masks = [union(each) for each in shares]
    return _merge_crumbs(masks, boxes, sorted(rest, key=lambda each: -each.area), size=size, erased=erased)


def _merge_crumbs(
    masks: list[Mask | None], boxes: Sequence[Box], rest: list[Mask], *, size: Size, erased: bool
) -> Shares:
    """Separate findings from crumbs, and merge crumbs into the findings within whose reach they lie."""
    largest = max((each.area for each in [*masks, *rest] if each), default=0)
    # A rectangle without a mask does not receive a crumb as its mask: its box is more informative.
    owners = [index for index, mask in enumerate(masks) if mask]
    near_owners = _Corners([reach(boxes[index]) for index in owners])
    merged: dict[int, list[Mask]] = {}
    findings: list[list[Mask]] = []
    frames: list[Box] = []
    near_findings = _Corners([])
    crumbs: list[Mask] = []
    for part in rest:
        if not is_crumb(part, largest, size=size, erased=erased):
            findings.append([part])
            frames.append(part.frame)
            near_findings.set(len(frames) - 1, reach(part.frame))
            if len(findings) > MAX_FINDINGS:
                raise too_many_findings()
            continue
        owner = next(
            (i for i in near_owners.meeting(part.frame) if part.within(reach(boxes[owners[i]]))), None
        )
        near = next((i for i in near_findings.meeting(part.frame) if part.within(reach(frames[i]))), None)
        if owner is not None:
            merged.setdefault(owners[owner], []).append(part)
        elif near is not None:
            findings[near].append(part)
            frames[near] = frames[near].union(part.frame)
            near_findings.set(near, reach(frames[near]))
        else:
            crumbs.append(part)
    for index, parts in merged.items():
        masks[index] = union([each for each in (masks[index], *parts) if each])
    return Shares(masks, [united for parts in findings if (united := union(parts))], crumbs)


def too_many_findings() -> InvalidRegion:
    """Return the error of an annotation with more findings on one image than a person can mean."""
    return InvalidRegion(
        f"expected at most {MAX_FINDINGS} findings on an image; mark clusters, not single calcifications",
        code="too_many_findings",
    )


def reach(box: Box) -> Box:
    """Return the box dilated by half its longer side; pixels in it belong to the mask of the box."""
    return box.dilated(max(box.width, box.height) // 2)


def nearest_box(part: Mask, boxes: Sequence[Box]) -> int:
    """Return the index of the nearest box; the first of several."""
    return min(range(len(boxes)), key=lambda index: float(_distance(part, boxes[index])[part.bitmap].min()))


def components_of(mask: Mask) -> list[Mask]:
    """Return the components of a mask, largest first.

    Raises:
        InvalidRegion: they are noise (code `noise`).
    """
    try:
        return mask.components(max_parts=MAX_PARTS)
    except ValueError as error:
        raise InvalidRegion(f"{error}, which is noise; erase it", code="noise") from None


class _Corners:
    """Boxes, of which there may be many, in an array."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._num = 0
        self._corners = np.zeros((max(len(boxes), MAX_FINDINGS + 1), 4), np.int64)
        for index, box in enumerate(boxes):
            self.set(index, box)

    def set(self, index: int, box: Box) -> None:
        """Set a box, or add it at the end."""
        self._corners[index] = box.as_tuple()
        self._num = max(self._num, index + 1)

    def meeting(self, frame: Box) -> list[int]:
        """Return the indices of the boxes that intersect a frame."""
        x0, y0, x1, y1 = self._corners[: self._num].T
        meets = (x0 < frame.x1) & (frame.x0 < x1) & (y0 < frame.y1) & (frame.y0 < y1)
        return [int(index) for index in np.flatnonzero(meets)]


def _divided(part: Mask, boxes: Sequence[Box]) -> Iterator[Mask]:
    """Yield the pixels of a component nearest to each box; the first of several boxes wins a tie.

    Raises:
        InvalidRegion: the component is too large to be divided among so many boxes (code `too_many_pixels`).
    """
    if len(boxes) == 1:
        yield part
        return
    height, width = part.bitmap.shape
    if len(boxes) * height * width > MAX_DECODED:
        raise InvalidRegion(
            f"a brush region covers {len(boxes)} rectangles and most of the image; delete the rectangles, or erase it",
            code="too_many_pixels",
        )
    nearest = np.empty((height, width), np.uint16)
    rows = max(1, ROWS // (len(boxes) * width))
    for top in range(0, height, rows):  # a few rows at a time: the distances are larger than the bitmap
        band = Mask(part.bitmap[top : top + rows], part.x0, part.y0 + top)
        nearest[top : top + rows] = np.argmin(np.stack([_distance(band, box) for box in boxes]), axis=0)
    for index in range(len(boxes)):
        yield Mask(part.bitmap & (nearest == index), part.x0, part.y0)


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
