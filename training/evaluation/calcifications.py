"""Evaluation of a segmenter at the calcification level, on clusters whose single calcifications are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo.geometry import ASSUMED_SPACING, Point
from mammo.masks import Mask
from mammo.pipeline import MAX_CALCIFICATION_PROMPTS
from mammo.segmenter import Segmenter
from training.metrics import Interval
from training.metrics.masks import boundary_iou, mean_interval
from training.segmenter.rois import TrainingRoi, speck_points
from training.segmenter.validation import filled_ellipse

FINE_BAND_MM = 0.1
"""Width of the boundary band of one calcification; the band of a cluster would cover it completely."""

MAX_PER_CLUSTER = 8
"""Maximum number of calcifications prompted per cluster, drawn at random: neighbours look alike."""


@dataclass(frozen=True)
class CalcificationScore:
    """One calcification, prompted separately; an empty mask counts 0."""

    patient: str
    pixels: int
    """Area of the calcification."""

    box: float
    """Dice, prompted with its true box."""

    box_boundary: float
    """Boundary IoU of that mask."""

    point: float
    """Dice of the mask's component under the prompt, which is one click on the middle of the calcification."""

    point_boundary: float
    """Boundary IoU of that component."""

    ellipse: float
    """Dice of the ellipse inscribed in the true box: the baseline that ignores the image."""


@dataclass(frozen=True)
class JointScore:
    """All calcifications of one cluster, prompted together by the cluster's true box and the prompt rule's points."""

    patient: str
    dice: float
    """Of the union."""

    met: float
    """Share of the true calcifications that the mask touches."""

    right: float
    """Share of the mask's components that touch a true calcification; NaN without a mask."""


def score_calcifications(
    segmenter: Segmenter, rois: Sequence[TrainingRoi], *, seed: int = 0
) -> tuple[list[CalcificationScore], list[JointScore]]:
    """Prompt the clusters whose calcifications are known; other regions are skipped.

    Args:
        seed: selects the calcifications that are prompted separately.
    """
    rng = np.random.default_rng(seed)
    single, joint = [], []
    for roi in rois:
        if roi.mask is None or roi.calcifications is None:
            continue
        parts = roi.calcifications.components()
        chosen = rng.permutation(len(parts))[:MAX_PER_CLUSTER]
        single += [_score_single(segmenter, roi, parts[int(number)]) for number in sorted(chosen)]
        joint.append(_score_joint(segmenter, roi, parts))
    return single, joint


def calcification_figures(
    single: Sequence[CalcificationScore], joint: Sequence[JointScore]
) -> dict[str, Interval]:
    """Means with 95 % intervals over patients, by the name of the figure; empty without any calcification."""
    if not single:
        return {}
    patients = [score.patient for score in single]
    names = {
        "Dice, its true box": "box",
        f"boundary IoU, its true box, band {FINE_BAND_MM} mm": "box_boundary",
        "Dice, one click on it": "point",
        f"boundary IoU, one click on it, band {FINE_BAND_MM} mm": "point_boundary",
        "Dice of the ellipse in its true box": "ellipse",
    }
    figures = {
        name: mean_interval([getattr(score, field) for score in single], patients)
        for name, field in names.items()
    }
    owners = [score.patient for score in joint]
    figures["Dice of all calcifications of a cluster, its true box and points"] = mean_interval(
        [score.dice for score in joint], owners
    )
    figures["share of a cluster's calcifications that this mask touches"] = mean_interval(
        [score.met for score in joint], owners
    )
    masked = [score for score in joint if not math.isnan(score.right)]
    if masked:
        figures["share of this mask's parts that touch one"] = mean_interval(
            [score.right for score in masked], [score.patient for score in masked]
        )
    return figures


def _score_single(segmenter: Segmenter, roi: TrainingRoi, truth: Mask) -> CalcificationScore:
    pixels, box = roi.pixels(), truth.frame
    embedding = segmenter.embed(pixels, box, spacing=roi.spacing, level="calcification")
    middle = _middle(truth)
    boxed = segmenter.segment(embedding, box=box).mask
    # The click does not bind: a binding click alone would draw a dot, whatever the network predicts.
    mask = segmenter.segment(embedding, box=None, points=[middle]).mask
    clicked = mask.parts_at([middle]) if mask else None
    spacing = roi.spacing or ASSUMED_SPACING
    return CalcificationScore(
        patient=roi.patient,
        pixels=truth.area,
        box=boxed.dice(truth) if boxed else 0.0,
        box_boundary=boundary_iou(boxed, truth, width_mm=FINE_BAND_MM, spacing=spacing),
        point=clicked.dice(truth) if clicked else 0.0,
        point_boundary=boundary_iou(clicked, truth, width_mm=FINE_BAND_MM, spacing=spacing),
        ellipse=filled_ellipse(box).dice(truth),
    )


def _score_joint(segmenter: Segmenter, roi: TrainingRoi, parts: Sequence[Mask]) -> JointScore:
    assert roi.calcifications is not None
    pixels = roi.pixels()
    points = speck_points(pixels, roi.box, count=MAX_CALCIFICATION_PROMPTS, spacing=roi.spacing)
    mask = segmenter.segment_calcifications(pixels, roi.box, spacing=roi.spacing, points=points).mask
    if mask is None:
        return JointScore(roi.patient, 0.0, 0.0, math.nan)
    met = [mask.intersection_area(part) > 0 for part in parts]
    right = [part.intersection_area(roi.calcifications) > 0 for part in mask.components()]
    return JointScore(roi.patient, mask.dice(roi.calcifications), float(np.mean(met)), float(np.mean(right)))


def _middle(mask: Mask) -> Point:
    """The pixel of a mask that is nearest to its centroid."""
    rows, columns = np.nonzero(mask.bitmap)
    nearest = int(np.hypot(rows - rows.mean(), columns - columns.mean()).argmin())
    return Point(mask.x0 + int(columns[nearest]), mask.y0 + int(rows[nearest]))
