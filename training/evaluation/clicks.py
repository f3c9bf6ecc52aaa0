"""How well a mask follows an expert who corrects it click by click: the simulation of interactive segmentation.

The usual robot user (Xu et al. 2016, section 4): each click goes to the middle of the largest error, positive where the
lesion was missed and negative where there is none; all clicks and the previous logits are given again, as the backend
does it.
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

CORRECTIONS = 5
"""Clicks after the first mask."""

Bitmap = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClickScore:
    """One cluster, first prompted by a box or one click, then corrected."""

    patient: str
    dice: tuple[float, ...]
    """Of the first mask and after each of `CORRECTIONS` clicks; a mask without an error keeps its Dice."""

    held: tuple[bool, ...]
    """Of each click: whether the next mask said there what the click said."""


class Correction(NamedTuple):
    """The next click of the robot."""

    at: Point
    positive: bool


def score_clicks(
    segmenter: Segmenter, rois: Sequence[TrainingRoi], *, by_box: bool, seed: int = 0
) -> list[ClickScore]:
    """Correct every cluster at the cluster level.

    Args:
        by_box: the first prompt is the true box, each edge off by up to a tenth; else one click on the middle of the
            true mask.
        seed: of the boxes.
    """
    rng = np.random.default_rng(seed)
    return [_follow(segmenter, roi, roi.mask, by_box=by_box, rng=rng) for roi in rois if roi.mask is not None]


def click_figures(by_box: Sequence[ClickScore], by_click: Sequence[ClickScore]) -> dict[str, Interval]:
    """Means with 95 % intervals by patient."""
    figures = {}
    for name, scores in (("box", by_box), ("one click", by_click)):
        patients = [score.patient for score in scores]
        for number in (0, 1, 2, 3, CORRECTIONS):
            what = f"{number} corrections" if number != 1 else "1 correction"
            figures[f"Dice, {name} and {what}"] = mean_interval(
                [score.dice[number] for score in scores], patients
            )
        clicked = [score for score in scores if score.held]
        if clicked:
            figures[f"share of the corrections of {name} that held"] = mean_interval(
                [float(np.mean(score.held)) for score in clicked], [score.patient for score in clicked]
            )
    return figures


def _follow(
    segmenter: Segmenter, roi: TrainingRoi, mask: Mask, *, by_box: bool, rng: np.random.Generator
) -> ClickScore:
    pixels = roi.pixels()
    size = Size(pixels.shape[1], pixels.shape[0])
    truth = mask.full(size).astype(np.bool_)
    box = jittered(roi.box, size, rng)
    embedding = segmenter.embed(pixels, box, spacing=roi.spacing)
    positive: list[Point] = [] if by_box else [middle_of(truth)]
    negative: list[Point] = []
    found: Segmentation | None = None
    dice: list[float] = []
    held: list[bool] = []
    asked: Correction | None = None
    for _ in range(CORRECTIONS + 1):
        found = segmenter.segment(
            embedding,
            box=box if by_box else None,
            points=positive,
            negative=negative,
            binding=(*positive, *negative),
            previous=found,
        )
        seen = found.mask.full(size).astype(np.bool_) if found.mask else np.zeros_like(truth)
        dice.append(found.mask.dice(mask) if found.mask else 0.0)
        if asked is not None:
            held.append(bool(seen[asked.at.y, asked.at.x]) == asked.positive)
        asked = next_click(seen, truth, within=embedding.roi.crop.slices)
        if asked is None:
            break
        (positive if asked.positive else negative).append(asked.at)
    return ClickScore(roi.patient, tuple(dice + dice[-1:] * (CORRECTIONS + 1 - len(dice))), tuple(held))


def next_click(seen: Bitmap, truth: Bitmap, *, within: tuple[slice, slice]) -> Correction | None:
    """The middle of the largest connected error; None where there is none.

    Args:
        within: rows and columns in which a click is taken.
    """
    best: tuple[int, Bitmap, bool] | None = None
    for positive, wrong in ((True, truth & ~seen), (False, seen & ~truth)):
        inside = np.zeros_like(wrong)
        inside[within] = wrong[within]
        _, labels, statistics, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
        areas = statistics[1:, cv2.CC_STAT_AREA]
        if len(areas) and (best is None or areas.max() > best[0]):
            best = int(areas.max()), labels == 1 + int(areas.argmax()), positive
    return None if best is None else Correction(middle_of(best[1]), best[2])


def middle_of(region: Bitmap) -> Point:
    """The pixel of a region that lies deepest in it."""
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)[
        1:-1, 1:-1
    ]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Point(int(x), int(y))
