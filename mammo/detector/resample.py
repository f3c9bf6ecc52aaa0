"""Film scans and detectors of another pitch are brought to the spacing the detector was trained at, by millimetres.

A calcification of 0.3 mm is four pixels of 0.07 mm and one and a half of 0.2 mm: the network knows the first. Making
an image finer adds no detail, only size: what the scanner blurred stays lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammo.geometry import Box, Size, Spacing
from mammo.pixels import Pixels

TOLERANCE = 1.45
"""Spacings that differ by less than this factor are taken as they are: resampling blurs, and costs time.

With 0.07 mm in training the direct detectors, 0.05 to 0.1 mm, stay as they are: see docs/experiments.md.
"""

MAX_FINER = 4.0
"""At most so many pixels are made of one, along each axis."""

MAX_COARSER = 8.0
"""At most so many pixels become one, along each axis."""


@dataclass(frozen=True)
class Scale:
    """Pixels of the image that the network sees per pixel of the mammogram."""

    size: Size
    """Of the image that the network sees."""

    x: float = 1.0
    y: float = 1.0

    def spacing(self, spacing: Spacing | None) -> Spacing | None:
        """Of the pixels that the network sees; None where that of the mammogram is not known."""
        return spacing and Spacing(spacing.row_mm / self.y, spacing.column_mm / self.x, spacing.source)

    def seen(self, box: Box) -> Box:
        """A box of the mammogram in the pixels that the network sees."""
        corners = (box.x0 * self.x, box.y0 * self.y, box.x1 * self.x, box.y1 * self.y)
        return Box.around(*corners).within(self.size)


def scale_to(trained_mm: float, *, spacing: Spacing | None, size: Size, max_pixels: int) -> Scale:
    """The scale that brings a mammogram to the trained spacing.

    Args:
        trained_mm: pixel spacing of training.
        spacing: of the mammogram; None: unknown, taken as trained.
        size: of the mammogram.
        max_pixels: the result stays below it, if need be coarser than trained.

    Returns:
        The identity where both axes differ by less than `TOLERANCE`.
    """
    if spacing is None:
        return Scale(size)
    wanted = np.array([spacing.column_mm, spacing.row_mm]) / trained_mm
    if ((wanted < TOLERANCE) & (wanted > 1 / TOLERANCE)).all():
        return Scale(size)
    wanted = np.clip(wanted, 1 / MAX_COARSER, MAX_FINER)
    wanted *= min(1.0, float(np.sqrt(max_pixels / (wanted.prod() * size.box.area))))
    width, height = (
        max(1, int(side * factor)) for side, factor in zip((size.width, size.height), wanted, strict=True)
    )
    return Scale(Size(width, height), width / size.width, height / size.height)


def resample(pixels: Pixels, scale: Scale) -> Pixels:
    """The image that the network sees: areas averaged where it is coarser, cubic where it is finer.

    Args:
        pixels: H x W, float32 in [0, 1].
    """
    if (scale.x, scale.y) == (1.0, 1.0):
        return pixels
    wanted = (scale.size.width, scale.size.height)
    how = cv2.INTER_AREA if max(scale.x, scale.y) < 1 else cv2.INTER_CUBIC
    seen = cv2.resize(pixels, wanted, interpolation=how)
    return np.clip(seen, 0.0, 1.0, out=seen)  # type: ignore[arg-type]  # cubic overshoots
