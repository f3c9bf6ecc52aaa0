"""What a mammogram goes through before the detector sees it, in training and at work alike.

Vendors differ in offset and gain. Both are taken out per image, measured on breast pixels only: air, which is 30 to
60 % of a mammogram, and the lead markers in it must not move the scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Size

Pixels = npt.NDArray[np.float32]

CELL = 16
"""Side of one cell of the breast map, in pixels."""

_AIR = 0.05
"""Share of the grey range below which a cell is air."""

_PERCENTILES = (1.0, 99.0)
_LEVELS = (0.05, 0.75)
"""Where the percentiles of the breast go; the rest above is room for calcifications brighter than tissue."""


@dataclass(frozen=True, eq=False)
class Breast:
    """Where the breast is, on a coarse grid of `CELL` pixels."""

    cells: npt.NDArray[np.bool_]
    """ceil(H / CELL) x ceil(W / CELL); never empty."""

    box: Box
    """Smallest box of pixels that holds it, clipped to the image."""

    def share(self, box: Box) -> float:
        """Part of a box (inside the image) that is breast, in [0, 1]."""
        part = self.cells[box.y0 // CELL : -(-box.y1 // CELL), box.x0 // CELL : -(-box.x1 // CELL)]
        return float(part.mean())


def find_breast(pixels: Pixels) -> Breast:
    """Find the largest connected area that is not air; the whole image where nothing stands out.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
    """
    height, width = pixels.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    coarse: Pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = float(coarse.min()), float(np.percentile(coarse, 99.5))
    inside = (coarse > low + _AIR * (high - low)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    if count < 2:
        return Breast(np.ones((rows, columns), np.bool_), Size(width, height).box)
    largest = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    cells = cv2.dilate(largest.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # the skin line is dim
    ys, xs = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    box = Box(int(xs[0]) * CELL, int(ys[0]) * CELL, int(xs[-1] + 1) * CELL, int(ys[-1] + 1) * CELL)
    return Breast(cells, box.within(Size(width, height)))


def normalise(pixels: Pixels, breast: Breast) -> Pixels:
    """Bring the breast's grey levels to a common scale.

    Args:
        pixels: H x W, float32 in [0, 1].

    Returns:
        H x W float32 in [0, 1]; the breast's 1st and 99th percentile lie at 0.05 and 0.75.
    """
    height, width = pixels.shape
    step = max(1, CELL // 4)  # one pixel in sixteen is plenty for two percentiles
    sample = pixels[::step, ::step]
    inside = np.repeat(np.repeat(breast.cells, CELL // step, axis=0), CELL // step, axis=1)
    low, high = np.percentile(sample[inside[: -(-height // step), : -(-width // step)]], _PERCENTILES)
    gain = (_LEVELS[1] - _LEVELS[0]) / max(float(high - low), 1e-6)
    scaled = pixels * np.float32(gain) + np.float32(_LEVELS[0] - float(low) * gain)
    return np.clip(scaled, 0.0, 1.0, out=scaled)
