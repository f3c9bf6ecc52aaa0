"""Simulated interactive segmentation: Dice after each corrective click.

The robot user of Xu et al. 2016 (Deep Interactive Object Selection, section 4): each click goes to the middle of the
largest error, positive where the lesion was missed and negative where there is none. Every step prompts with all clicks
so far and the previous logits, as the backend does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Point, Size
from mammo.masks import Mask
from mammo.segmenter import Segmentation, Segmenter
from training.metrics import Interval
from training.metrics.masks import mean_interval
from training.segmenter.rois import TrainingRoi
from training.segmenter.views import jittered

NUM_CORRECTIONS = 5
"""Clicks after the first mask."""

Bitmap = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClickScore:
    """One cluster, first prompted by a box or one click, then corrected by clicks."""

    patient: str
    dice: tuple[float, ...]
    """Of the first mask and after each of `NUM_CORRECTIONS` clicks; repeats when the mask has no error left."""

    held: tuple[bool, ...]
    """For each click, whether the next mask agrees with it at its pixel."""


class Click(NamedTuple):
    """A corrective click of the robot user."""

    at: Point
    positive: bool


def score_clicks(
    segmenter: Segmenter, rois: Sequence[TrainingRoi], *, by_box: bool, seed: int = 0
) -> list[ClickScore]:
    """Simulate the correction of every cluster, at the cluster level.

    Args:
        by_box: whether the first prompt is the true box, with each edge off by up to a tenth of its side; otherwise
            it is one click on the middle of the true mask.
        seed: of the jittered boxes.
    """
    rng = np.random.default_rng(seed)
    return [
        _correct(segmenter, roi, roi.mask, by_box=by_box, rng=rng) for roi in rois if roi.mask is not None
    ]


def click_figures(by_box: Sequence[ClickScore], by_click: Sequence[ClickScore]) -> dict[str, Interval]:
    """Means with 95 % intervals over patients, by the name of the figure."""
    figures = {}
    for name, scores in (("box", by_box), ("one click", by_click)):
        patients = [score.patient for score in scores]
        for number in (0, 1, 2, 3, NUM_CORRECTIONS):
            corrections = f"{number} corrections" if number != 1 else "1 correction"
            figures[f"Dice, {name} and {corrections}"] = mean_interval(
                [score.dice[number] for score in scores], patients
            )
        clicked = [score for score in scores if score.held]
        if clicked:
            figures[f"share of the corrections of {name} that held"] = mean_interval(
                [float(np.mean(score.held)) for score in clicked], [score.patient for score in clicked]
            )
    return figures


def _correct(
    segmenter: Segmenter, roi: TrainingRoi, mask: Mask, *, by_box: bool, rng: np.random.Generator
) -> ClickScore:
    pixels = roi.pixels()
    size = Size(pixels.shape[1], pixels.shape[0])
    truth = mask.full(size).astype(np.bool_)
    box = jittered(roi.box, size, rng)
    embedding = segmenter.embed(pixels, box, spacing=roi.spacing)
    positive: list[Point] = [] if by_box else [middle_of(truth)]
    negative: list[Point] = []
    segmentation: Segmentation | None = None
    dice: list[float] = []
    held: list[bool] = []
    click: Click | None = None
    for _ in range(NUM_CORRECTIONS + 1):
        segmentation = segmenter.segment(
            embedding,
            box=box if by_box else None,
            points=positive,
            negative=negative,
            binding=(*positive, *negative),
            previous=segmentation,
        )
        predicted = segmentation.mask
        bitmap = predicted.full(size).astype(np.bool_) if predicted else np.zeros_like(truth)
        dice.append(predicted.dice(mask) if predicted else 0.0)
        if click is not None:
            held.append(bool(bitmap[click.at.y, click.at.x]) == click.positive)
        click = next_click(bitmap, truth, within=embedding.roi.crop.slices)
        if click is None:
            break
        (positive if click.positive else negative).append(click.at)
    dice += dice[-1:] * (NUM_CORRECTIONS + 1 - len(dice))
    return ClickScore(roi.patient, tuple(dice), tuple(held))


def next_click(predicted: Bitmap, truth: Bitmap, *, within: tuple[slice, slice]) -> Click | None:
    """The click on the middle of the largest connected error; None without an error.

    Args:
        predicted, truth: H x W.
        within: rows and columns in which errors count.
    """
    best: tuple[int, Bitmap, bool] | None = None
    for positive, wrong in ((True, truth & ~predicted), (False, predicted & ~truth)):
        inside = np.zeros_like(wrong)
        inside[within] = wrong[within]
        _, labels, statistics, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
        areas = statistics[1:, cv2.CC_STAT_AREA]
        if len(areas) and (best is None or areas.max() > best[0]):
            best = int(areas.max()), labels == 1 + int(areas.argmax()), positive
    return None if best is None else Click(middle_of(best[1]), best[2])


def middle_of(region: Bitmap) -> Point:
    """The pixel of a region that is farthest from its outside."""
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)[
        1:-1, 1:-1
    ]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Point(int(x), int(y))
