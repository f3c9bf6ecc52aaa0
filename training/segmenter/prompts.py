"""The prompt sampler: boxes, boxes with bright points, points alone, negative points; and where the loss looks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mammo.geometry import Box
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from mammo.segmenter.roi import dilated
from training.segmenter.mask_loss import num_candidates
from training.segmenter.views import JITTER, MAX_POINTS, View

Floats = npt.NDArray[np.float32]

TOKENS = MAX_POINTS + 1 + 1 + 2
"""Prompt tokens of one sample: positive points, one negative point, room for a second click, two box corners."""

CLICK = MAX_POINTS + 1
"""The token that a second click takes."""

KINDS = (0.4, 0.4, 0.2)
"""How often a prompt is a box, a box with points, points alone."""

WITH_NEGATIVE = 0.15
"""Share of the prompts with a negative point."""

Rectangle = tuple[float, float, float, float]


class Prompt(NamedTuple):
    """One prompt of a view, padded; and the points at which its mask is compared."""

    coordinates: Floats
    """TOKENS x 2, input frame."""

    labels: npt.NDArray[np.int64]
    """TOKENS."""

    candidates: Floats
    """M x 2 in [0, 1] of the input's side: in the dilated box; without a box half of them there, half anywhere."""

    truth: Floats
    """M in {0, 1}: whether the lesion covers the native pixel under each."""


def draw_prompt(view: View, rng: np.random.Generator, *, num_points: int) -> Prompt:
    """A random prompt as serving may see it: its box is jittered, then dilated."""
    kind = int(rng.choice(3, p=KINDS)) if view.bright else 0
    coordinates = np.zeros((TOKENS, 2), np.float32)
    labels = np.full(TOKENS, PADDING, np.int64)
    if kind > 0:
        count = int(rng.integers(1, min(MAX_POINTS, len(view.bright)) + 1))
        # The prompt rule gives the strongest specks, an annotator clicks any: both, half of the time.
        order = np.arange(len(view.bright)) if rng.random() < 0.5 else rng.permutation(len(view.bright))
        coordinates[:count] = [view.bright[i] for i in order[:count]]
        labels[:count] = POSITIVE
    if rng.random() < WITH_NEGATIVE:
        outside = _outside(view, rng)
        if outside is not None:
            coordinates[MAX_POINTS], labels[MAX_POINTS] = outside, NEGATIVE
    limits = _jittered(view.box, rng)
    if kind < 2:
        coordinates[-2:] = np.reshape(limits, (2, 2))
        labels[-2:] = TOP_LEFT, BOTTOM_RIGHT
    total = num_candidates(num_points)
    candidates = _within(limits, total, rng, side=view.input_size)
    if kind == 2:
        anywhere = rng.random((total, 2), dtype=np.float32) * np.float32(view.input_size)
        candidates = np.where(rng.random((total, 1)) < 0.5, candidates, anywhere)
    truth = view.covers(candidates).astype(np.float32)
    return Prompt(coordinates, labels, candidates / np.float32(view.input_size), truth)


def _jittered(box: Rectangle, rng: np.random.Generator) -> Rectangle:
    """The box of a prompt: off by up to `JITTER` of each side, then dilated as in serving."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    off = rng.uniform(-JITTER, JITTER, 4) * (width, height, width, height)
    grown = dilated(Box.around(x0 + off[0], y0 + off[1], x1 + off[2], y1 + off[3]))
    return float(grown.x0), float(grown.y0), float(grown.x1), float(grown.y1)


def _within(limits: Rectangle, count: int, rng: np.random.Generator, *, side: int) -> Floats:
    low = np.clip(limits[:2], 0, side - 1).astype(np.float32)
    high = np.maximum(np.clip(limits[2:], 0, side), low + 1).astype(np.float32)
    drawn: Floats = low + rng.random((count, 2), dtype=np.float32) * (high - low)
    return drawn


def _outside(view: View, rng: np.random.Generator) -> tuple[float, float] | None:
    """A place near the lesion that is not part of it."""
    x0, y0, x1, y1 = view.box
    for _ in range(8):
        x = rng.uniform(x0 - 0.2 * (x1 - x0), x1 + 0.2 * (x1 - x0))
        y = rng.uniform(y0 - 0.2 * (y1 - y0), y1 + 0.2 * (y1 - y0))
        inside = 0 <= x < view.input_size and 0 <= y < view.input_size
        if inside and not view.covers(np.array([[x, y]], np.float32))[0]:
            return float(x), float(y)
    return None
