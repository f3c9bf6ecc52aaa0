"""Overlapping tiles become one map: each logit counts most in the middle of its tile."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mammo.geometry import Box
from mammo.segmenter.roi import Roi
from mammo.segmenter.runtime import Logits

MIN_WEIGHT = 1e-3
"""Weight of a tile's border, where nothing else may cover the image."""


def blend(answers: Sequence[tuple[Roi, Logits]], frame: Box) -> Logits:
    """The weighted mean of the tiles' logits, with Hann windows as weights.

    Args:
        answers: tiles with their logits, s x s float32, each brought to the tile's native pixels.
        frame: of the result, in the image; pixels that no tile covers get -inf, which is background.

    Returns:
        Height x width of `frame`, float32.
    """
    total = np.zeros((frame.height, frame.width), np.float32)
    weight = np.zeros_like(total)
    for roi, logits in answers:
        common = roi.crop.intersection(frame)
        if common is None:
            continue
        native = logits
        if logits.shape[0] != roi.side:
            native = cv2.resize(logits, (roi.side, roi.side), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        here = common.shifted(-roi.crop.x0, -roi.crop.y0).slices
        there = common.shifted(-frame.x0, -frame.y0).slices
        window = _window(roi.side)[here]
        total[there] += window * native[here]
        weight[there] += window
    blended: Logits = np.where(weight > 0, total / np.maximum(weight, MIN_WEIGHT**2), -np.inf)
    return blended.astype(np.float32)


def _window(side: int) -> Logits:
    """Side x side, 1 in the middle, `MIN_WEIGHT` squared at the corners; neighbours' weights add up smoothly."""
    ramp = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 * (1 - MIN_WEIGHT) + MIN_WEIGHT
    return np.outer(ramp, ramp).astype(np.float32)
