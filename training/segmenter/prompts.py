"""Random prompts of a view: a box, a box with points, or points, some with a negative point; and the loss's points."""

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
"""Prompt tokens per sample: positive points, a negative point, a second click, and two corners of the box."""

CLICK = MAX_POINTS + 1
"""Index of the token of a second click."""

KINDS = (0.4, 0.4, 0.2)
"""Probabilities that a prompt is a box, a box with points, or points alone."""

WITH_NEGATIVE = 0.15
"""Share of the prompts with a negative point."""

Rectangle = tuple[float, float, float, float]


class Prompt(NamedTuple):
    """A prompt of a view, padded to TOKENS, and the points at which the loss may compare its mask."""

    coordinates: Floats
    """TOKENS x 2, input frame."""

    labels: npt.NDArray[np.int64]
    """TOKENS."""

    candidates: Floats
    """M x 2 in [0, 1] of the input's side: in the dilated box; for points alone, half of them anywhere."""

    truth: Floats
    """M in {0, 1}: whether the lesion covers the native pixel under each candidate."""


def draw_prompt(view: View, rng: np.random.Generator, *, num_points: int) -> Prompt:
    """Draw a prompt as serving may get it, with a jittered and dilated box.

    Args:
        num_points: at which the loss compares the mask; see `num_candidates`.
    """
    kind = int(rng.choice(3, p=KINDS)) if view.bright else 0
    coordinates = np.zeros((TOKENS, 2), np.float32)
    labels = np.full(TOKENS, PADDING, np.int64)
    if kind > 0:
        count = int(rng.integers(1, min(MAX_POINTS, len(view.bright)) + 1))
        # The prompt rule selects the strongest specks, an annotator clicks any; each in half of the prompts.
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
    """The box of a prompt: each edge off by up to `JITTER` of its side, then dilated as in serving."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    offset = rng.uniform(-JITTER, JITTER, 4) * (width, height, width, height)
    jittered = Box.around(x0 + offset[0], y0 + offset[1], x1 + offset[2], y1 + offset[3])
    x0, y0, x1, y1 = map(float, dilated(jittered).as_tuple())
    return x0, y0, x1, y1


def _within(limits: Rectangle, count: int, rng: np.random.Generator, *, side: int) -> Floats:
    """Random points in a rectangle, clipped to the input."""
    low = np.clip(limits[:2], 0, side - 1).astype(np.float32)
    high = np.maximum(np.clip(limits[2:], 0, side), low + 1).astype(np.float32)
    drawn: Floats = low + rng.random((count, 2), dtype=np.float32) * (high - low)
    return drawn


def _outside(view: View, rng: np.random.Generator) -> tuple[float, float] | None:
    """A random point beside the lesion; None if 8 attempts fail."""
    x0, y0, x1, y1 = view.box
    for _ in range(8):
        x = rng.uniform(x0 - 0.2 * (x1 - x0), x1 + 0.2 * (x1 - x0))
        y = rng.uniform(y0 - 0.2 * (y1 - y0), y1 + 0.2 * (y1 - y0))
        inside = 0 <= x < view.input_size and 0 <= y < view.input_size
        if inside and not view.covers(np.array([[x, y]], np.float32))[0]:
            return float(x), float(y)
    return None
