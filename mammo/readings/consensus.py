"""Consensus: merge two readings that agree into one set of findings.

    intersection   pixels that both readers drew
    union          pixels that either reader drew
    staple         STAPLE (Warfield, Zou, Wells 2004), by SimpleITK: expectation maximisation of the hidden truth and of
                   each reader's sensitivity and specificity; pixels with probability 1/2 or more

STAPLE depends on the share of background, so it runs on the bounding box of both masks plus `MARGIN` pixels, not on the
whole image. With two readers its result often equals the intersection or the union.

Two boxes without masks become a box: their intersection, their bounding box, or (for STAPLE) the mean of their corners.
A descriptor on which both readers say the same word is that of the consensus; any other is left out, and so are
comments: nobody has said them together.
An outline and a point become the outline, whatever the rule: a point gives a location but no extent. Two points become
the point midway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mammo.findings import Finding
from mammo.geometry import Box
from mammo.masks import Mask, union
from mammo.readings.agreement import Agreement
from mammo.readings.rules import ConsensusRule

MARGIN = 16
"""Margin of background around both masks in the frame of STAPLE, in pixels."""


def consensus(
    first: Sequence[Finding], second: Sequence[Finding], agreement: Agreement, *, rule: ConsensusRule
) -> list[Finding]:
    """Return one finding per lesion, in the order of the first reading.

    Args:
        agreement: Comparison of these two readings; it must be an agreement.
    """
    assert agreement.agreed, "there is no consensus without agreement"
    return [
        consensus_finding(first[lesion.first], second[lesion.second], rule=rule)
        for lesion in agreement.lesions
    ]


def consensus_finding(first: Finding, second: Finding, *, rule: ConsensusRule) -> Finding:
    """Merge two findings of one lesion; the box of the result encloses its mask."""
    agreed = {name: word for name, word in first.descriptors.items() if second.descriptors.get(name) == word}
    return replace(
        _consensus_shape(first, second, rule=rule),
        morphology=agreed.get("morphology"),
        distribution=agreed.get("distribution"),
        suspicion=agreed.get("suspicion"),
        lesion="",
    )


def _consensus_shape(first: Finding, second: Finding, *, rule: ConsensusRule) -> Finding:
    if first.is_point or second.is_point:
        return _consensus_with_point(first, second)
    box = _box(first.box, second.box, rule)
    mask = None
    if first.mask is not None and second.mask is not None:
        mask = consensus_mask(first.mask, second.mask, rule=rule)
        box = box.union(mask.frame)
    return Finding(label=first.label, score=1.0, box=box, mask=mask)


def _consensus_with_point(first: Finding, second: Finding) -> Finding:
    """Return the finding that is no point, or the point midway between two points."""
    outlined = next((each for each in (first, second) if not each.is_point), None)
    if outlined is not None:
        return Finding(label=outlined.label, score=1.0, box=outlined.box, mask=outlined.mask)
    return Finding(label=first.label, score=1.0, box=_box(first.box, second.box, "staple"), is_point=True)


def consensus_mask(first: Mask, second: Mask, *, rule: ConsensusRule) -> Mask:
    """Merge two masks; where the rule leaves no pixel, return their union."""
    both_masks = union([first, second])
    assert both_masks is not None
    if rule == "union":
        merged = both_masks.tight()
    elif rule == "intersection":
        merged = _intersection(first, second, both_masks.frame)
    else:
        merged = staple([first, second])
    return merged or both_masks


def staple(masks: Sequence[Mask]) -> Mask | None:
    """Return the pixels whose STAPLE probability is 1/2 or more; None where there are none."""
    import SimpleITK as sitk  # noqa: N813 - SimpleITK's documented alias; imported late because it takes 0.5 s

    frame = masks[0].frame
    for mask in masks[1:]:
        frame = frame.union(mask.frame)
    frame = frame.dilated(MARGIN)
    bitmaps = [sitk.GetImageFromArray(_bitmap(mask, frame).view(np.uint8)) for mask in masks]
    probability = sitk.GetArrayFromImage(sitk.STAPLE(bitmaps, 1.0))  # type: ignore[no-untyped-call]
    return Mask(np.asarray(probability >= 0.5), frame.x0, frame.y0).tight()


def _intersection(first: Mask, second: Mask, frame: Box) -> Mask | None:
    return Mask(_bitmap(first, frame) & _bitmap(second, frame), frame.x0, frame.y0).tight()


def _bitmap(mask: Mask, frame: Box) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return the mask's pixels in a frame that encloses them: H x W of the frame, bool."""
    bitmap = np.zeros((frame.height, frame.width), np.bool_)
    Mask(mask.bitmap, mask.x0 - frame.x0, mask.y0 - frame.y0).paste(bitmap)
    return bitmap


def _box(first: Box, second: Box, rule: ConsensusRule) -> Box:
    if rule == "union":
        return first.union(second)
    if rule == "intersection":
        return first.intersection(second) or first.union(second)
    corners = zip(first.as_tuple(), second.as_tuple(), strict=True)
    return Box(*((a + b) // 2 for a, b in corners))
