"""Doubts: where the prediction for an image and its stored findings disagree."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mammo.efforts.edit_effort import boundary_shift
from mammo.findings import Finding
from mammo.geometry import Box, Spacing
from mammo.second_looks import Cause
from training.second_look.model_agreement import ModelAgreement, same_lesions

NEAR_MM = 10.0
"""Distance of two centres up to which a prediction and a label that do not meet may be one lesion, moved."""

HALF_SHIFT_MM = 2.0
"""Mean distance of two outlines that doubts a label half, in mm."""

UNCONFIRMED_SCORE = 0.5
"""Doubt about a label that no prediction of a perfect model meets: also good models miss what experts see."""

DIFFER_SCORE = 0.5
"""Doubt about a label where another reader sees other lesions: one of the two is wrong, nobody says which."""

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
    """`outline`: mean distance of the two outlines, or distance of the centres if they do not meet, in mm."""


def doubts(
    stored: Sequence[Finding],
    predicted: Sequence[Finding],
    *,
    spacing: Spacing,
    agreement: ModelAgreement,
) -> list[Doubt]:
    """Return the doubts about the label of one image, strongest first.

    With the model's precision P at a prediction's score s, its sensitivity S, and a distance d of two outlines:
    `missed` has s P(s), `nothing-there` 0.5 S, `outline` d / (d + 2 mm). A label and a prediction beside it that do not
    meet are one doubt about the outline, 1 - (1 - s P(s)) (1 - 0.5 S): what speaks for either speaks for it.

    Args:
        stored: the label; a point says nothing about an outline.
        predicted: by a model that did not learn from the patient. Its scores say how sure it is.
        spacing: pixel spacing of the image.
        agreement: of this model with the labels of all images.
    """
    pairs = same_lesions(predicted, stored, spacing=spacing)
    found, confirmed = {first for first, _ in pairs}, {second for _, second in pairs}
    alone = [index for index in range(len(predicted)) if index not in found]
    unmet = [index for index in range(len(stored)) if index not in confirmed]
    unlikely = UNCONFIRMED_SCORE * agreement.sensitivity
    raised: list[Doubt] = []
    for first, second, distance in _moved(predicted, alone, stored, unmet, spacing):
        alone.remove(first)
        unmet.remove(second)
        likely = _missed(predicted[first], agreement)
        score = 1.0 - (1.0 - likely) * (1.0 - unlikely)
        raised.append(Doubt(cause="outline", score=score, box=stored[second].box, distance_mm=distance))
    raised += [
        Doubt(cause="missed", score=_missed(predicted[each], agreement), box=predicted[each].box)
        for each in alone
    ]
    raised += [Doubt(cause="nothing-there", score=unlikely, box=stored[each].box) for each in unmet]
    for first, second in pairs:
        before, after = predicted[first], stored[second]
        if before.mask is None or after.mask is None:
            continue
        shift = boundary_shift(before.mask, after.mask, pixel=(spacing.row_mm, spacing.column_mm))
        score = shift / (shift + HALF_SHIFT_MM)
        raised.append(Doubt(cause="outline", score=score, box=after.box, distance_mm=shift))
    return sorted(raised, key=lambda doubt: -doubt.score)


def _missed(prediction: Finding, agreement: ModelAgreement) -> float:
    return prediction.score * agreement.precision(prediction.score)


def _moved(
    predicted: Sequence[Finding],
    alone: Collection[int],
    stored: Sequence[Finding],
    unmet: Collection[int],
    spacing: Spacing,
) -> list[tuple[int, int, float]]:
    """Return pairs (prediction, label) that lie beside each other, with their distance in mm; each index once."""
    near = sorted(
        (distance, first, second)
        for first in alone
        for second in unmet
        if not stored[second].is_point
        and (distance := _distance_mm(predicted[first].box, stored[second].box, spacing)) <= NEAR_MM
    )
    pairs: list[tuple[int, int, float]] = []
    for distance, first, second in near:
        if all(first != one and second != other for one, other, _ in pairs):
            pairs.append((first, second, distance))
    return pairs


def _distance_mm(first: Box, second: Box, spacing: Spacing) -> float:
    """Return the distance of the centres of two boxes."""
    across = (first.x0 + first.x1 - second.x0 - second.x1) / 2 * spacing.column_mm
    down = (first.y0 + first.y1 - second.y0 - second.y1) / 2 * spacing.row_mm
    return math.hypot(across, down)
