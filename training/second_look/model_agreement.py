"""ModelAgreement: how often a model and the labels agree, estimated from the very images that are looked through.

Where a model mostly agrees with the labels, a disagreement is a reason to doubt the label; where it often does not, it
is a reason to doubt the model. Most labels are right, so the labels can say which (the idea of confident learning,
Northcutt et al. 2021, with one class).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from mammo.findings import Finding
from mammo.geometry import Spacing
from mammo.readings.matching import match

MIN_IOU = 0.1
"""Lowest IoU of two boxes of the same lesion; the centre rule applies too."""


@dataclass(frozen=True)
class ModelAgreement:
    """The agreement of one model with the labels of many images."""

    thresholds: Sequence[float]
    """Scores of the predictions, ascending."""

    precisions: Sequence[float]
    """For each threshold the share of the predictions from there on that a label meets, never falling."""

    sensitivity: float
    """The share of the labels that a prediction meets: (k + 1) / (n + 2)."""

    @classmethod
    def of(cls, images: Iterable[tuple[Sequence[Finding], Sequence[Finding], Spacing]]) -> Self:
        """Count the predictions of one model.

        Args:
            images: labels, predictions and pixel spacing of each image.
        """
        confirmed, unconfirmed, num_labels = list[float](), list[float](), 0
        for stored, predicted, spacing in images:
            pairs = same_lesions(predicted, stored, spacing=spacing)
            met = {first for first, _ in pairs}
            num_labels += len(stored)
            for index, each in enumerate(predicted):
                (confirmed if index in met else unconfirmed).append(each.score)
        return cls.counted(confirmed, unconfirmed, num_labels)

    @classmethod
    def counted(cls, confirmed: Sequence[float], unconfirmed: Sequence[float], num_labels: int) -> Self:
        """Return the agreement from the scores of predictions that a label meets, and of those that none meets."""
        met_scores, unmet_scores = sorted(confirmed), sorted(unconfirmed)
        thresholds = sorted({*met_scores, *unmet_scores})
        precisions: list[float] = []
        for score in thresholds:
            met = len(met_scores) - bisect_left(met_scores, score)
            unmet = len(unmet_scores) - bisect_left(unmet_scores, score)
            share = (met + 1) / (met + unmet + 2)
            # The few predictions with the highest scores are no less to be trusted than those below them.
            precisions.append(max(share, precisions[-1]) if precisions else share)
        return cls(thresholds, precisions, (len(met_scores) + 1) / (num_labels + 2))

    def precision(self, score: float) -> float:
        """Return the share of the predictions with about this score or more that a label meets: (k + 1) / (n + 2).

        Where nothing is known it is 0.5.
        """
        if not self.thresholds:
            return 0.5
        return self.precisions[max(bisect_right(self.thresholds, score) - 1, 0)]


def same_lesions(
    predicted: Sequence[Finding], stored: Sequence[Finding], *, spacing: Spacing
) -> list[tuple[int, int]]:
    """Return the pairs (prediction, label) of the same lesion."""
    return match(predicted, stored, min_iou=MIN_IOU, match_centres=True, spacing=spacing)
