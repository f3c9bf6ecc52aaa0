"""Evaluation of a segmenter on clusters, each prompted by its jittered true box and three bright points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo.geometry import ASSUMED_SPACING, Size
from mammo.segmenter import Segmenter
from training.metrics.masks import BAND_MM, Rates, boundary_iou, pixel_rates
from training.segmenter.rois import TrainingRoi, speck_points
from training.segmenter.views import jittered


@dataclass(frozen=True)
class ClusterScore:
    """The figures of one cluster; an empty mask counts 0."""

    patient: str
    dice: float
    iou: float
    boundary_iou: float
    pixels: Rates
    """Of the region of interest around the cluster."""


def measure_rois(segmenter: Segmenter, rois: Sequence[TrainingRoi], *, seed: int = 0) -> list[ClusterScore]:
    """Prompt every cluster once; the same seed gives the same boxes."""
    rng = np.random.default_rng(seed)
    scores = []
    for roi in rois:
        if roi.mask is None:
            continue
        pixels = roi.pixels()
        box = jittered(roi.box, Size(pixels.shape[1], pixels.shape[0]), rng)
        embedding = segmenter.embed(pixels, box, spacing=roi.spacing)
        points = speck_points(pixels, box, count=3, spacing=roi.spacing)
        mask = segmenter.segment(embedding, box=box, points=points).mask
        scores.append(
            ClusterScore(
                patient=roi.patient,
                dice=mask.dice(roi.mask) if mask else 0.0,
                iou=mask.iou(roi.mask) if mask else 0.0,
                boundary_iou=boundary_iou(
                    mask, roi.mask, width_mm=BAND_MM, spacing=roi.spacing or ASSUMED_SPACING
                ),
                pixels=pixel_rates(mask, roi.mask, roi=embedding.roi.crop),
            )
        )
    return scores
