"""Metrics of masks: boundary IoU with a band in mm, AUC, and rates per pixel or per image, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mammo.geometry import Box, Spacing
from mammo.masks import Mask
from training.metrics import Interval, interval
from training.metrics.ratio import ratio

Bitmap = npt.NDArray[np.bool_]

BAND_MM = 0.5
"""Width of the boundary band: about the distance of two calcifications, half of a cluster's margin."""

ROUNDING = 1e-9
"""Relative difference below which two distances are equal: three pixels of 0.07 mm are 0.21 mm."""


@dataclass(frozen=True)
class Rates:
    """A confusion matrix, and the rates of the paper's eq. 13 and 14; a rate without counts is NaN."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def tpr(self) -> float:
        """TPR = TP / (TP + FN)   (eq. 13)."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def fpr(self) -> float:
        """FPR = FP / (FP + TN)   (eq. 14)."""
        return ratio(self.fp, self.fp + self.tn)

    def __add__(self, other: Rates) -> Rates:
        return Rates(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)


def pixel_rates(predicted: Mask | None, truth: Mask | None, *, roi: Box) -> Rates:
    """Count the pixels of a region; pixels outside it do not count."""
    p, t = (_inside(mask, roi) for mask in (predicted, truth))
    tp, fp, fn = (int(np.count_nonzero(x)) for x in (p & t, p & ~t, ~p & t))
    return Rates(tp, fp, fn, roi.area - tp - fp - fn)


def image_rates(predicted: Sequence[bool], truth: Sequence[bool]) -> Rates:
    """Count images.

    Args:
        predicted: whether an image got a mask.
        truth: whether it has a cluster.

    Raises:
        ValueError: `predicted` and `truth` differ in length.
    """
    pairs = list(zip(predicted, truth, strict=True))
    counts = {key: pairs.count(key) for key in ((True, True), (True, False), (False, True), (False, False))}
    return Rates(counts[True, True], counts[True, False], counts[False, True], counts[False, False])


def boundary(mask: Mask, *, width_mm: float, spacing: Spacing) -> Mask | None:
    """The pixels of a mask within a distance of its outside (Cheng et al. 2021, Boundary IoU); None when empty.

    Args:
        width_mm: the distance. A pixel that touches the outside always belongs to the boundary.
        spacing: of the pixels, which need not be square.
    """
    sides = spacing.row_mm, spacing.column_mm
    depth = ndimage.distance_transform_edt(np.pad(mask.bitmap, 1), sampling=sides)[1:-1, 1:-1]
    near = depth <= max(width_mm, *sides) * (1 + ROUNDING)
    return Mask(mask.bitmap & near, mask.x0, mask.y0).tight()


def boundary_iou(predicted: Mask | None, truth: Mask | None, *, width_mm: float, spacing: Spacing) -> float:
    """IoU of the `boundary` of two masks, in [0, 1]; 1 when both masks are empty."""
    bands = [
        boundary(mask, width_mm=width_mm, spacing=spacing) if mask else None for mask in (predicted, truth)
    ]
    first, second = bands
    if first is None or second is None:
        return float(first is second)
    return first.iou(second)


def auc(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Area under the ROC curve: P(positive > negative) + P(equal) / 2; NaN without both positives and negatives."""
    values, true = np.asarray(scores, np.float64), np.asarray(truth, np.bool_)
    if true.all() or not true.any():
        return float("nan")
    above = values[true][:, None] - values[~true][None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def mean_interval(
    values: Sequence[float], patients: Sequence[str], *, draws: int = 1000, seed: int = 0
) -> Interval:
    """Mean over clusters with its 95 % interval over patients.

    Args:
        patients: the patient of each value.
    """
    array = np.asarray(values, np.float64)
    return interval(lambda w: ratio(float(w @ array), float(w.sum())), patients, draws=draws, seed=seed)


def rate_intervals(
    counts: Sequence[Rates], patients: Sequence[str], *, draws: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """`tpr`, `fpr` and `acc` (eq. 13, 14 and 18) of the pooled counts, with 95 % intervals over patients."""
    array = np.array([(c.tp, c.fp, c.fn, c.tn) for c in counts], np.float64).reshape(-1, 4)

    def over(statistic: Callable[[float, float, float, float], float]) -> Interval:
        return interval(lambda w: statistic(*(w @ array)), patients, draws=draws, seed=seed)

    return {
        "tpr": over(lambda tp, fp, fn, tn: ratio(tp, tp + fn)),
        "fpr": over(lambda tp, fp, fn, tn: ratio(fp, fp + tn)),
        "acc": over(lambda tp, fp, fn, tn: ratio(tp + tn, tp + fp + fn + tn)),
    }


def _inside(mask: Mask | None, roi: Box) -> Bitmap:
    out = np.zeros((roi.height, roi.width), np.bool_)
    if mask is not None:
        Mask(mask.bitmap, mask.x0 - roi.x0, mask.y0 - roi.y0).paste(out)
    return out
