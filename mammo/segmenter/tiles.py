"""Blends overlapping tiles into one map; logits have the highest weight in the centre of their tile."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mammo.geometry import Box
from mammo.segmenter.roi import Roi
from mammo.segmenter.runtime import Logits

MIN_WEIGHT = 1e-3
"""Weight at the border of a tile along one axis; positive, since no other tile may cover the border."""


def blend(answers: Sequence[tuple[Roi, Logits]], frame: Box) -> Logits:
    """Return the mean of the tiles' logits, weighted by Hann windows.

    Args:
        answers: tiles with their s x s float32 logits, which are upsampled to the native pixels of the tile.
        frame: box of the result, in the image; pixels without a tile are -inf, which is background.

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
        in_tile = common.shifted(-roi.crop.x0, -roi.crop.y0).slices
        in_frame = common.shifted(-frame.x0, -frame.y0).slices
        window = _window(roi.side)[in_tile]
        total[in_frame] += window * native[in_tile]
        weight[in_frame] += window
    blended: Logits = np.where(weight > 0, total / np.maximum(weight, MIN_WEIGHT**2), -np.inf)
    return blended.astype(np.float32)


def _window(side: int) -> Logits:
    """Hann window, side x side: 1 in the centre, about `MIN_WEIGHT` squared at the corners."""
    ramp = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 * (1 - MIN_WEIGHT) + MIN_WEIGHT
    return np.outer(ramp, ramp).astype(np.float32)
