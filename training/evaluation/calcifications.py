"""How well single calcifications are outlined at the calcification level, where the truth knows them one by one."""

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
"""Width of the boundary band of one calcification; that of a cluster would swallow it whole."""

MAX_OF_A_CLUSTER = 8
"""Calcifications of one cluster that are prompted, at most, drawn at random: neighbours look alike."""


@dataclass(frozen=True)
class CalcificationScore:
    """One calcification, prompted by itself; a missing mask counts 0."""

    patient: str
    pixels: int
    """Its area."""

    box: float
    """Dice, prompted with its true box."""

    box_boundary: float
    """Boundary IoU of that mask."""

    point: float
    """Dice of the part of the mask under the prompt, which is one click on its middle."""

    point_boundary: float
    ellipse: float
    """Dice of the ellipse that fills the true box: what one gets without looking at the image."""


@dataclass(frozen=True)
class ClusterOfCalcifications:
    """All calcifications of one cluster, prompted together by the cluster's true box and the prompt rule's points."""

    patient: str
    dice: float
    """Of the union."""

    met: float
    """Share of the true calcifications that the mask touches."""

    right: float
    """Share of the mask's parts that touch a true calcification; NaN without a mask."""


def score_calcifications(
    segmenter: Segmenter, rois: Sequence[TrainingRoi], *, seed: int = 0
) -> tuple[list[CalcificationScore], list[ClusterOfCalcifications]]:
    """Prompt the clusters whose calcifications are known; the same seed chooses the same ones."""
    rng = np.random.default_rng(seed)
    single, together = [], []
    for roi in rois:
        if roi.mask is None or roi.calcifications is None:
            continue
        parts = roi.calcifications.components()
        chosen = rng.permutation(len(parts))[:MAX_OF_A_CLUSTER]
        single += [_single(segmenter, roi, parts[int(number)]) for number in sorted(chosen)]
        together.append(_together(segmenter, roi, parts))
    return single, together


def calcification_figures(
    single: Sequence[CalcificationScore], together: Sequence[ClusterOfCalcifications]
) -> dict[str, Interval]:
    """Means with 95 % intervals by patient; nothing where no calcification is known."""
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
    owners = [score.patient for score in together]
    figures["Dice of all calcifications of a cluster, its true box and points"] = mean_interval(
        [score.dice for score in together], owners
    )
    figures["share of a cluster's calcifications that this mask touches"] = mean_interval(
        [score.met for score in together], owners
    )
    masked = [score for score in together if not math.isnan(score.right)]
    if masked:
        figures["share of this mask's parts that touch one"] = mean_interval(
            [score.right for score in masked], [score.patient for score in masked]
        )
    return figures


def _single(segmenter: Segmenter, roi: TrainingRoi, truth: Mask) -> CalcificationScore:
    pixels, box = roi.pixels(), truth.frame
    embedding = segmenter.embed(pixels, box, spacing=roi.spacing, level="calcification")
    middle = _middle(truth)
    boxed = segmenter.segment(embedding, box=box).mask
    around = segmenter.segment(
        embedding, box=None, points=[middle]
    ).mask  # a binding click would make a dot by itself
    clicked = around.parts_at([middle]) if around else None
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


def _together(segmenter: Segmenter, roi: TrainingRoi, parts: Sequence[Mask]) -> ClusterOfCalcifications:
    assert roi.calcifications is not None
    pixels = roi.pixels()
    points = speck_points(pixels, roi.box, count=MAX_CALCIFICATION_PROMPTS, spacing=roi.spacing)
    mask = segmenter.segment_calcifications(pixels, roi.box, spacing=roi.spacing, points=points).mask
    if mask is None:
        return ClusterOfCalcifications(roi.patient, 0.0, 0.0, math.nan)
    found = mask.components()
    met = [mask.intersection_area(part) > 0 for part in parts]
    right = [part.intersection_area(roi.calcifications) > 0 for part in found]
    return ClusterOfCalcifications(
        roi.patient, mask.dice(roi.calcifications), float(np.mean(met)), float(np.mean(right))
    )


def _middle(mask: Mask) -> Point:
    """The pixel of a mask that is nearest to its centre of gravity."""
    rows, columns = np.nonzero(mask.bitmap)
    nearest = int(np.hypot(rows - rows.mean(), columns - columns.mean()).argmin())
    return Point(mask.x0 + int(columns[nearest]), mask.y0 + int(rows[nearest]))
