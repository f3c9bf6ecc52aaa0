"""How well a segmenter outlines known clusters when it is given about the right box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mammo.geometry import Box, Size
from mammo.masks import Mask
from mammo.prompts import robust_points
from mammo.segmenter import Segmenter
from mammo.segmenter.weights import load_segmenter, save_segmenter
from training.cases import Case
from training.segmenter_rois import TrainingRoi, cut_rois, jittered


@dataclass(frozen=True)
class RoiScore:
    """Mean Dice over clusters; an empty mask counts 0."""

    box: float
    """Prompted with a box whose edges are off by up to a tenth."""

    box_and_points: float
    """Prompted with the same box and the robust rule's points."""

    ellipse: float
    """Of the ellipse that fills the same box: what one gets without looking at the image."""

    num_clusters: int
    """How many clusters the means are over."""


def score_rois(segmenter: Segmenter, rois: Sequence[TrainingRoi], *, seed: int) -> RoiScore:
    """Run the very code that serves on every region, once; the same seed gives the same boxes.

    Raises:
        ValueError: there is no region.
    """
    if not rois:
        raise ValueError("a score needs at least one region")
    rng = np.random.default_rng(seed)
    scores = []
    for roi in rois:
        pixels = roi.pixels()
        box = jittered(roi.box, Size(pixels.shape[1], pixels.shape[0]), rng)
        embedding = segmenter.embed(pixels, box, spacing=None)
        points = robust_points(pixels, box, count=4, spacing=4)
        masks = (
            segmenter.segment(embedding, box=box).mask,
            segmenter.segment(embedding, box=box, points=points).mask,
            filled_ellipse(box),
        )
        scores.append([mask.dice(roi.mask) if mask else 0.0 for mask in masks])
    box_dice, both_dice, ellipse_dice = np.mean(scores, axis=0).tolist()
    return RoiScore(box_dice, both_dice, ellipse_dice, len(rois))


def record_held_out(
    weights: Path, cases: Sequence[Case], *, data: str, folder: Path, seed: int = 0
) -> RoiScore:
    """Score weights on cases that neither trained nor chose them, and write the result into their facts.

    Args:
        weights: a segmenter's file; only the facts `held_out` change.
        data: what the cases are, for whoever reads the facts.
        folder: receives the regions.

    Raises:
        InvalidWeights: the file cannot be loaded.
        ValueError: no case has a mask.
    """
    network, facts = load_segmenter(weights)
    score = score_rois(Segmenter(network), cut_rois(cases, folder, config=network.config), seed=seed)
    fresh = weights.with_suffix(".new")
    save_segmenter(fresh, network, facts={**facts, "held_out": {"data": data, **asdict(score)}})
    fresh.replace(weights)
    return score


def filled_ellipse(box: Box) -> Mask:
    """The ellipse that touches the four edges of a box."""
    y, x = np.mgrid[: box.height, : box.width] + 0.5
    inside = (x / box.width * 2 - 1) ** 2 + (y / box.height * 2 - 1) ** 2 <= 1
    return Mask(inside, box.x0, box.y0)
