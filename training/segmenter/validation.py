"""Validation of a segmenter on regions, each prompted by its jittered true box, alone and with points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mammo.geometry import Box, Size
from mammo.masks import Mask
from mammo.segmenter import Segmenter
from mammo.segmenter.weights import add_facts, load_segmenter
from training.cases import Case
from training.metrics.masks import auc
from training.segmenter.rois import Kind, TrainingRoi, cut_rois, speck_points
from training.segmenter.views import jittered


@dataclass(frozen=True)
class RoiScore:
    """Mean Dice over clusters; an empty mask counts 0."""

    box: float
    """Prompted by a box whose edges are off by up to a tenth of its sides."""

    box_and_points: float
    """Prompted by the same box and the points of the prompt rule `robust`."""

    ellipse: float
    """Of the ellipse inscribed in the same box: the baseline that ignores the image."""

    num_clusters: int
    """Number of clusters in the means."""

    presence_auc: float | None = None
    """AUC of clusters against regions without one; None without a presence head or without such regions."""

    @property
    def choice(self) -> float:
        """The score that selects the best weights of a run."""
        return (self.box + self.box_and_points) / 2


@dataclass(frozen=True)
class RoiAnswer:
    """The results of one region."""

    patient: str
    kind: Kind
    box: float
    """Dice of the mask prompted by the box; NaN, as are the next two, if there is no cluster."""

    box_and_points: float
    ellipse: float
    presence: float | None
    """Probability of a lesion, prompted by box and points."""


def score_rois(segmenter: Segmenter, rois: Sequence[TrainingRoi], *, seed: int) -> RoiScore:
    """Score a segmenter with the code that serves.

    Args:
        seed: of the jittered boxes.

    Raises:
        ValueError: there is no cluster.
    """
    answers = answer_rois(segmenter, rois, seed=seed)
    clusters = [answer for answer in answers if answer.kind == "cluster"]
    if not clusters:
        raise ValueError("a score needs at least one region with a cluster")
    box, both, ellipse = np.mean([(a.box, a.box_and_points, a.ellipse) for a in clusters], axis=0).tolist()
    presences = [(a.presence, a.kind == "cluster") for a in answers if a.presence is not None]
    area = auc([score for score, _ in presences], [true for _, true in presences]) if presences else math.nan
    return RoiScore(box, both, ellipse, len(clusters), None if math.isnan(area) else area)


def answer_rois(segmenter: Segmenter, rois: Sequence[TrainingRoi], *, seed: int) -> list[RoiAnswer]:
    """Prompt every region by its jittered box, alone and with the points that `mammo.pipeline` would use."""
    rng = np.random.default_rng(seed)
    answers = []
    for roi in rois:
        pixels = roi.pixels()
        box = jittered(roi.box, Size(pixels.shape[1], pixels.shape[0]), rng)
        embedding = segmenter.embed(pixels, box, spacing=roi.spacing)
        points = speck_points(pixels, box, count=3, spacing=roi.spacing)
        alone = segmenter.segment(embedding, box=box)
        both = segmenter.segment(embedding, box=box, points=points)
        dice = [_dice(mask, roi.mask) for mask in (alone.mask, both.mask, filled_ellipse(box))]
        answers.append(RoiAnswer(roi.patient, roi.kind, dice[0], dice[1], dice[2], both.presence))
    return answers


def _dice(mask: Mask | None, truth: Mask | None) -> float:
    if truth is None:
        return math.nan
    return mask.dice(truth) if mask else 0.0


def record_held_out(
    weights: Path, cases: Sequence[Case], *, entry: str, data: str, folder: Path, seed: int = 0
) -> RoiScore:
    """Score weights on held-out cases and record the result in the weights file.

    Args:
        weights: a segmenter's file.
        entry: the name of the result among the facts; replaced if it exists.
        cases: neither trained nor validated on.
        data: description of the cases.
        folder: receives the regions.

    Raises:
        InvalidWeights: the file cannot be loaded.
        ValueError: no case has a mask.
    """
    network, _ = load_segmenter(weights)
    score = score_rois(Segmenter(network), cut_rois(cases, folder, config=network.config), seed=seed)
    add_facts(weights, {entry: {"data": data, **asdict(score)}})
    return score


def filled_ellipse(box: Box) -> Mask:
    """The ellipse inscribed in a box."""
    y, x = np.mgrid[: box.height, : box.width] + 0.5
    inside = (x / box.width * 2 - 1) ** 2 + (y / box.height * 2 - 1) ** 2 <= 1
    return Mask(inside, box.x0, box.y0)
