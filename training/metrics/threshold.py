"""What a detector does at one threshold: by box (precision, TPR, F1) and by image (FPR, accuracy).

A box that is rightly not there cannot be counted, so TPR, FPR and ACC of the paper's Table 2 have no common unit. Here
TPR = TP / (TP + FN), Pr = TP / (TP + FP) and F1 (eq. 13, 15, 16) count lesions and boxes; FPR = FP / (TN + FP) and
ACC (eq. 14, 18) count images: positive is an image with a lesion, and called positive one with any box. An image of
which nobody can say which it is (`Hits.undecided`) is in none of the figures by image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.metrics.froc import Hits

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AtThreshold:
    """Figures in [0, 1]; NaN where the images allow none."""

    sensitivity: float
    """TPR: found lesions over lesions."""

    precision: float
    f1: float
    false_positives: float
    """Per image."""

    image_sensitivity: float
    """Images with a lesion and a box over images with a lesion."""

    image_fpr: float
    """Images without a lesion and with a box over images without a lesion."""

    image_accuracy: float


@dataclass(frozen=True, eq=False)
class Counts:
    """What happened in each image at one threshold, ready for many weightings."""

    true: Floats
    """Found lesions."""

    false: Floats
    """False positives."""

    lesions: Floats
    called: Floats
    """1 where there is any box, else 0; a further hit on a found lesion comes after a first one."""

    normal: Floats
    """1 where there is surely no lesion, else 0."""

    @classmethod
    def of(cls, images: Sequence[Hits], threshold: float) -> Counts:
        true = [
            sum(hit for hit, score in zip(i.true, i.scores, strict=True) if score >= threshold)
            for i in images
        ]
        every = [sum(score >= threshold for score in image.scores) for image in images]
        return cls(
            np.array(true, np.float64),
            np.array(every, np.float64) - np.array(true, np.float64),
            np.array([image.num_lesions for image in images], np.float64),
            np.array([count > 0 for count in every], np.float64),
            np.array([not (image.num_lesions or image.undecided) for image in images], np.float64),
        )

    def figures(self, weights: Floats | None = None) -> AtThreshold:
        """Args:
        weights: how often each image counts; None: once.
        """
        counts = np.ones(len(self.true)) if weights is None else weights
        true, false, lesions = (float(counts @ each) for each in (self.true, self.false, self.lesions))
        positive = (self.lesions > 0).astype(np.float64)
        caught = float(counts @ (positive * self.called))
        alarmed = float(counts @ (self.normal * self.called))
        sick, healthy = float(counts @ positive), float(counts @ self.normal)
        return AtThreshold(
            sensitivity=_share(true, lesions),
            precision=_share(true, true + false),
            f1=_share(2 * true, lesions + true + false),
            false_positives=_share(false, float(counts.sum())),
            image_sensitivity=_share(caught, sick),
            image_fpr=_share(alarmed, healthy),
            image_accuracy=_share(caught + healthy - alarmed, sick + healthy),
        )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
