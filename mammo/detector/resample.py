"""Resamples film scans and images of another pixel spacing to the spacing of training.

A calcification of 0.3 mm is four pixels wide at 0.07 mm and one and a half at 0.2 mm; the network is trained on the
former. Upsampling adds no detail: what the scanner blurred stays lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammo.geometry import Box, Size, Spacing
from mammo.pixels import Pixels

TOLERANCE = 1.45
"""Factor up to which spacings may differ without resampling, which blurs and costs time.

With 0.07 mm in training, images of direct detectors (0.05 to 0.1 mm) are not resampled; see docs/experiments.md.
"""

MAX_FINER = 4.0
"""Maximum upsampling factor along each axis."""

MAX_COARSER = 8.0
"""Maximum downsampling factor along each axis."""


@dataclass(frozen=True)
class Scale:
    """Pixels of the resampled image per pixel of the mammogram."""

    size: Size
    """Of the resampled image."""

    x: float = 1.0
    y: float = 1.0

    def spacing(self, spacing: Spacing | None) -> Spacing | None:
        """Pixel spacing of the resampled image; None when that of the mammogram is unknown."""
        return spacing and Spacing(spacing.row_mm / self.y, spacing.column_mm / self.x, spacing.source)

    def position(self, x: float, y: float) -> tuple[float, float]:
        """Map a position in the mammogram to the resampled image."""
        return x * self.x, y * self.y

    def resampled(self, box: Box) -> Box:
        """Map a box of the mammogram to the resampled image."""
        corners = (box.x0 * self.x, box.y0 * self.y, box.x1 * self.x, box.y1 * self.y)
        return Box.around(*corners).within(self.size)


def scale_to(trained_mm: float, *, spacing: Spacing | None, size: Size, max_pixels: int) -> Scale:
    """Return the scale that resamples a mammogram to the spacing of training.

    Args:
        trained_mm: pixel spacing of training.
        spacing: of the mammogram; None when unknown, which is treated as `trained_mm`.
        size: of the mammogram.
        max_pixels: maximum size of the result, which is coarser than `trained_mm` if necessary.

    Returns:
        The identity if both axes differ by less than `TOLERANCE`.
    """
    if spacing is None:
        return Scale(size)
    factors = np.array([spacing.column_mm, spacing.row_mm]) / trained_mm
    if ((factors < TOLERANCE) & (factors > 1 / TOLERANCE)).all():
        return Scale(size)
    factors = np.clip(factors, 1 / MAX_COARSER, MAX_FINER)
    factors *= min(1.0, float(np.sqrt(max_pixels / (factors.prod() * size.box.area))))
    width, height = (
        max(1, int(side * factor)) for side, factor in zip((size.width, size.height), factors, strict=True)
    )
    return Scale(Size(width, height), width / size.width, height / size.height)


def resample(pixels: Pixels, scale: Scale) -> Pixels:
    """Resample an image: area averaging for downsampling, cubic interpolation for upsampling.

    Args:
        pixels: H x W, float32 in [0, 1].
        scale: see `scale_to`; the identity returns `pixels`.
    """
    if (scale.x, scale.y) == (1.0, 1.0):
        return pixels
    interpolation = cv2.INTER_AREA if max(scale.x, scale.y) < 1 else cv2.INTER_CUBIC
    resampled = cv2.resize(pixels, (scale.size.width, scale.size.height), interpolation=interpolation)
    return np.clip(resampled, 0.0, 1.0, out=resampled)  # type: ignore[arg-type]  # cubic interpolation overshoots
