"""Doubts: where the prediction for an image and its stored findings disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mammo.efforts.edit_effort import boundary_shift
from mammo.findings import Finding
from mammo.geometry import Box, Spacing
from mammo.readings.matching import match

Cause = Literal["missed", "nothing-there", "outline", "hasty"]
"""`missed`: a lesion is predicted where no label is. `nothing-there`: a label where nothing is predicted. `outline`:
both have the lesion, and their outlines differ. `hasty`: a prelabel was accepted unchanged within seconds."""

MIN_IOU = 0.1
"""Lowest IoU of two boxes of the same lesion; the centre rule applies too."""

HALF_SHIFT_MM = 2.0
"""Mean distance of two outlines that doubts a label half, in mm."""

UNCONFIRMED_SCORE = 0.5
"""Doubt about a label that no prediction meets: a model misses lesions too."""

HASTY_SCORE = 0.2
"""Doubt about an image of which nothing is known but that its prelabel was accepted in seconds."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """One reason why a label may be wrong."""

    cause: Cause
    score: float
    """Strength, in [0, 1]. It orders the doubts, and is no probability."""

    box: Box | None = None
    """Where to look, in pixels; None: at the whole image."""

    distance_mm: float | None = None
    """`outline`: mean distance of the two outlines, in mm."""


def doubts(stored: Sequence[Finding], predicted: Sequence[Finding], *, spacing: Spacing) -> list[Doubt]:
    """Return the doubts about the label of one image, strongest first.

    Args:
        stored: the label; a point says nothing about an outline.
        predicted: by a model that did not learn from the patient. Its scores say how sure it is.
        spacing: pixel spacing of the image.
    """
    pairs = match(predicted, stored, min_iou=MIN_IOU, match_centres=True, spacing=spacing)
    found, confirmed = {first for first, _ in pairs}, {second for _, second in pairs}
    raised = [
        Doubt(cause="missed", score=each.score, box=each.box)
        for index, each in enumerate(predicted)
        if index not in found
    ]
    raised += [
        Doubt(cause="nothing-there", score=UNCONFIRMED_SCORE, box=each.box)
        for index, each in enumerate(stored)
        if index not in confirmed
    ]
    for first, second in pairs:
        before, after = predicted[first], stored[second]
        if before.mask is None or after.mask is None:
            continue
        shift = boundary_shift(before.mask, after.mask, pixel=(spacing.row_mm, spacing.column_mm))
        raised.append(
            Doubt(
                cause="outline",
                score=before.score * shift / (shift + HALF_SHIFT_MM),
                box=after.box,
                distance_mm=shift,
            )
        )
    return sorted(raised, key=lambda doubt: -doubt.score)
