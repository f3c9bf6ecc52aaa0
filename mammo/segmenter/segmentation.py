"""Segmentation: what the segmenter says to one prompt, and how fine it can be."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.geometry import Box, Point, Spacing
from mammo.masks import Mask
from mammo.segmenter.roi import MIN_LOGITS, Roi
from mammo.segmenter.runtime import Logits

FINE_OUTLINE = 4
"""Native pixels per logit at which a cluster's outline is fine enough; a box above half the input's side exceeds it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation:
    """The answer to one prompt."""

    mask: Mask | None
    """The lesion's pixels in the image frame; None when no logit is positive."""

    presence: float | None
    """Probability in [0, 1] that there is a lesion in the region at all; None for weights without that head."""

    logits: Logits | None
    """s x s float32, the region's low-resolution map, positive = lesion: the next prompt may start from it. None
    where several tiles made the mask."""

    roi: Roi | None
    """The region that the logits lie in; None where several tiles made the mask."""

    pixels_per_logit: float
    """Image pixels from one logit to the next: no detail of the mask is finer."""

    spacing: Spacing | None
    """Of the image's pixels, where known."""

    points: tuple[Point, ...] = ()
    """The positive points of the prompt."""

    notes: tuple[str, ...] = ()
    """What the reader of the mask should know, as sentences: a target too small, a spacing not stated."""


def notes_on(box: Box | None, *, pixels_per_logit: float, spacing: Spacing | None) -> tuple[str, ...]:
    """What to say of a target under a box, given how fine the logits are.

    Args:
        box: the prompt, or the mask's own box where points alone were the prompt; None says nothing of its size.
        pixels_per_logit: image pixels from one logit to the next.
    """
    notes = []
    if spacing is None:
        notes.append(
            "the image states no pixel spacing: sizes are in pixels, and filters take 0.07 mm for one"
        )
    least = MIN_LOGITS * pixels_per_logit
    if box is not None and min(box.width, box.height) < least:
        notes.append(
            f"the target is {box.width} x {box.height} pixels and the mask resolves {least:.3g}: its outline is a "
            "guess; segment it at the calcification level"
        )
    if pixels_per_logit > FINE_OUTLINE:
        notes.append(
            f"the region is larger than the network's input: its outline is drawn at {pixels_per_logit:.3g} pixels per "
            f"logit, not at {FINE_OUTLINE}; prompt a part of it for a finer one"
        )
    return tuple(notes)
