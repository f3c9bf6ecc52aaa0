"""Consensus: what two readings that agree say together.

    intersection   pixels that both readers drew: nothing is in it that one of them did not see
    union          pixels that either drew
    staple         expectation maximisation of each reader's sensitivity and specificity and of the truth, together
                   (Warfield, Zou, Wells 2004), by SimpleITK; pixels of probability 1/2 and more

STAPLE weighs a pixel against the background around it, so it is run on the box around both masks with a margin of
`MARGIN` pixels, not on the whole image, where any lesion is rare. With two readers it often is one of the other two.
A lesion that was only boxed gets a box: their intersection, the box around both, or the mean of the corners. One that a
reader outlined and the other marked by a point is the outline, by every rule: the point says where and not how large.
Two points become one midway.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mammo.findings import Finding
from mammo.geometry import Box
from mammo.masks import Mask, union
from mammo.readings.agreement import Agreement
from mammo.readings.rules import ConsensusRule

MARGIN = 16
"""Background around both masks that STAPLE sees, in pixels."""


def consensus(
    first: Sequence[Finding], second: Sequence[Finding], agreement: Agreement, *, rule: ConsensusRule
) -> list[Finding]:
    """One finding for each lesion, in the order of the first reading.

    Args:
        agreement: of these two readings, and one that says they agree.
    """
    assert agreement.agreed, "there is no consensus without agreement"
    return [
        consensus_finding(first[lesion.first], second[lesion.second], rule=rule)
        for lesion in agreement.lesions
    ]


def consensus_finding(first: Finding, second: Finding, *, rule: ConsensusRule) -> Finding:
    """The finding that two readers have together; its box holds its mask."""
    if first.is_point or second.is_point:
        return _with_a_point(first, second)
    box = _box(first.box, second.box, rule)
    mask = None
    if first.mask is not None and second.mask is not None:
        mask = consensus_mask(first.mask, second.mask, rule=rule)
        box = box.union(mask.frame)
    return Finding(label=first.label, score=1.0, box=box, mask=mask)


def _with_a_point(first: Finding, second: Finding) -> Finding:
    """The outlined one of the two, or the point midway between two points."""
    outlined = next((each for each in (first, second) if not each.is_point), None)
    if outlined is not None:
        return Finding(label=outlined.label, score=1.0, box=outlined.box, mask=outlined.mask)
    return Finding(label=first.label, score=1.0, box=_box(first.box, second.box, "staple"), is_point=True)


def consensus_mask(first: Mask, second: Mask, *, rule: ConsensusRule) -> Mask:
    """The mask that two readers have together; where a rule leaves no pixel, all that either drew."""
    either = union([first, second])
    assert either is not None
    if rule == "union":
        found = either.tight()
    elif rule == "intersection":
        found = _both(first, second, either.frame)
    else:
        found = staple([first, second])
    return found or either


def staple(masks: Sequence[Mask]) -> Mask | None:
    """The pixels that STAPLE holds for lesion with probability 1/2 or more; None where there are none."""
    import SimpleITK as sitk  # noqa: N813 - its own documentation's name; half a second to import

    frame = masks[0].frame
    for mask in masks[1:]:
        frame = frame.union(mask.frame)
    frame = frame.dilated(MARGIN)
    drawn = [sitk.GetImageFromArray(_bitmap(mask, frame).view(np.uint8)) for mask in masks]
    probability = sitk.GetArrayFromImage(sitk.STAPLE(drawn, 1.0))  # type: ignore[no-untyped-call]
    return Mask(np.asarray(probability >= 0.5), frame.x0, frame.y0).tight()


def _both(first: Mask, second: Mask, frame: Box) -> Mask | None:
    return Mask(_bitmap(first, frame) & _bitmap(second, frame), frame.x0, frame.y0).tight()


def _bitmap(mask: Mask, frame: Box) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """The mask's pixels in a frame that holds them."""
    out = np.zeros((frame.height, frame.width), np.bool_)
    Mask(mask.bitmap, mask.x0 - frame.x0, mask.y0 - frame.y0).paste(out)
    return out


def _box(first: Box, second: Box, rule: ConsensusRule) -> Box:
    if rule == "union":
        return first.union(second)
    if rule == "intersection":
        return first.intersection(second) or first.union(second)
    corners = zip(first.as_tuple(), second.as_tuple(), strict=True)
    return Box(*((a + b) // 2 for a, b in corners))
