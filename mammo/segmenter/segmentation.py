"""Segmentation: the answer of the segmenter to one prompt, with its resolution."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.geometry import Box, Point, Spacing
from mammo.masks import Mask
from mammo.segmenter.roi import MIN_LOGITS, Roi
from mammo.segmenter.runtime import Logits

FINE_OUTLINE = 4
"""Maximum native pixels per logit of a fine outline of a cluster; boxes above half the input side exceed it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation:
    """The answer to one prompt."""

    mask: Mask | None
    """Pixels of the lesion, in the image frame; None when no logit is positive."""

    presence: float | None
    """Probability of a lesion at the prompt, in [0, 1]; None for weights without a presence head."""

    logits: Logits | None
    """s x s float32, low-resolution logits of the region, positive = lesion; the next prompt can refine them. None when
    the mask is made of several tiles."""

    roi: Roi | None
    """The region of the logits; None when the mask is made of several tiles."""

    pixels_per_logit: float
    """Distance between logits, in image pixels: the resolution of the mask."""

    spacing: Spacing | None
    """Pixel spacing of the image; None when unknown."""

    points: tuple[Point, ...] = ()
    """The positive points of the prompt."""

    notes: tuple[str, ...] = ()
    """Limitations of the mask, as sentences for a reader: a target below the resolution, an unknown spacing."""


def notes_on(box: Box | None, *, pixels_per_logit: float, spacing: Spacing | None) -> tuple[str, ...]:
    """Return the limitations of a mask, as sentences for a reader.

    Args:
        box: the box of the prompt, or that of the mask for a prompt of points only; None when there is no mask.
        pixels_per_logit: resolution of the mask.
        spacing: pixel spacing of the image; None when unknown.
    """
    notes = []
    if spacing is None:
        notes.append(
            "the image states no pixel spacing: sizes are in pixels, and filters assume 0.07 mm per pixel"
        )
    resolution = MIN_LOGITS * pixels_per_logit
    if box is not None and min(box.width, box.height) < resolution:
        notes.append(
            f"the target has {box.width} x {box.height} pixels and the mask resolves {resolution:.3g}: its outline is "
            "a guess; segment it at the calcification level"
        )
    if pixels_per_logit > FINE_OUTLINE:
        notes.append(
            f"the region is larger than the network's input: its outline has {pixels_per_logit:.3g} pixels per logit "
            f"instead of {FINE_OUTLINE}; prompt a part of it for a finer outline"
        )
    return tuple(notes)
