"""Figures of a detector at one threshold: by box (TPR, precision, F1) and by image (FPR, accuracy).

    TPR = TP / (TP + FN)                    (eq. 13)
    FPR = FP / (TN + FP)                    (eq. 14)
    Pr  = TP / (TP + FP)                    (eq. 15)
    F1  = 2 TP / (2 TP + FP + FN)           (eq. 16)
    ACC = (TP + TN) / (TP + TN + FP + FN)   (eq. 18)

Boxes have no true negatives, so the TPR, FPR and ACC of the paper's Table 2 cannot share a unit. Here TPR, Pr and F1
count lesions and boxes. FPR and ACC count images: an image is positive if it has a lesion, and predicted positive if it
has any box. An image that is neither positive nor negative (`Hits.undecided`) counts in no figure by image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.metrics.bootstrap import Floats
from training.metrics.froc import Hits
from training.metrics.ratio import ratio


@dataclass(frozen=True)
class AtThreshold:
    """Figures at a threshold, in [0, 1] except `false_positives`; NaN where undefined."""

    sensitivity: float
    """TPR: lesions hit / lesions."""

    precision: float
    f1: float
    false_positives: float
    """Per image."""

    image_sensitivity: float
    """TPR by image: images with a lesion and a box / images with a lesion."""

    image_fpr: float
    """FPR by image: images with a box but no lesion / images without a lesion."""

    image_accuracy: float


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of each image at one threshold; yields the figures for any image weights."""

    true: Floats
    """Lesions hit."""

    false: Floats
    """False positives."""

    lesions: Floats
    predicted: Floats
    """1 if the image has a box, else 0. Further hits on a lesion, which `Hits` drops, follow a first one and do not
    matter."""

    normal: Floats
    """1 if the image has no lesion, else 0; also 0 if it is undecided."""

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
        """The figures over all images.

        Args:
            weights: of each image, for example its number of copies in a bootstrap draw; None: 1.
        """
        counts = np.ones(len(self.true)) if weights is None else weights
        true, false, lesions = (float(counts @ each) for each in (self.true, self.false, self.lesions))
        positive = (self.lesions > 0).astype(np.float64)
        true_images = float(counts @ (positive * self.predicted))
        false_images = float(counts @ (self.normal * self.predicted))
        num_positive, num_normal = float(counts @ positive), float(counts @ self.normal)
        return AtThreshold(
            sensitivity=ratio(true, lesions),
            precision=ratio(true, true + false),
            f1=ratio(2 * true, lesions + true + false),
            false_positives=ratio(false, float(counts.sum())),
            image_sensitivity=ratio(true_images, num_positive),
            image_fpr=ratio(false_images, num_normal),
            image_accuracy=ratio(true_images + num_normal - false_images, num_positive + num_normal),
        )
