"""A box becomes point prompts: the paper's brightest pixel, or bright specks found robustly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Point, Size

Pixels = npt.NDArray[np.float32]

LARGEST = 15
"""Diameter in pixels of the largest calcification that the robust rule looks for: 1 mm at 0.07 mm."""

WEAKEST = 0.3
"""A speck below this part of the strongest one's contrast is noise beside it and gives no prompt."""


class PromptRule(Protocol):
    """How point prompts are chosen inside a box."""

    def __call__(self, pixels: Pixels, box: Box, *, count: int, spacing: int) -> list[Point]: ...


def brightest_points(pixels: Pixels, box: Box, *, count: int = 1, spacing: int = 1) -> list[Point]:
    """Return the brightest pixels of a box, brightest first, no two closer than `spacing`.

    With `count=1` this is the paper's rule: start from minus infinity and take every pixel that beats the maximum so
    far, row by row; the first of equal pixels wins.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
        count: at most so many points.
        spacing: least distance between two points, in pixels.

    Raises:
        ValueError: the box does not meet the image, or `count` or `spacing` is below 1.
    """
    region = box.within(Size(pixels.shape[1], pixels.shape[0]))
    return _peaks(pixels[region.slices], region, count=count, spacing=spacing, least=-np.inf)


def robust_points(pixels: Pixels, box: Box, *, count: int = 4, spacing: int = 4) -> list[Point]:
    """Return the specks of a box that stand out most from their own surroundings, strongest first.

    A white top-hat removes everything larger than a calcification (dense tissue, vessels' breadth, labels), and a
    pixel that none of its neighbours supports is a defect of the detector, not a calcification: it is cut down to
    its brightest neighbour first. A box in which nothing stands out gives no point.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
        count: at most so many points.
        spacing: least distance between two points, in pixels.

    Raises:
        ValueError: the box does not meet the image, or `count` or `spacing` is below 1.
    """
    size = Size(pixels.shape[1], pixels.shape[0])
    region = box.within(size)
    context = region.dilated(2 * LARGEST).within(size)
    contrast = _speck_contrast(np.ascontiguousarray(pixels[context.slices]))
    inside = contrast[region.shifted(-context.x0, -context.y0).slices]
    strongest = float(inside.max())
    if strongest <= 0:
        return []
    return _peaks(inside, region, count=count, spacing=spacing, least=WEAKEST * strongest)


PROMPT_RULES: Mapping[str, PromptRule] = {"paper": brightest_points, "robust": robust_points}
"""The rules by the name that a setting or a model's manifest gives them."""


def _speck_contrast(context: Pixels) -> npt.NDArray[Any]:
    ring = np.ones((3, 3), np.uint8)
    ring[1, 1] = 0
    supported = np.minimum(context, cv2.dilate(context, ring))
    smooth = cv2.GaussianBlur(supported, (0, 0), 0.8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (LARGEST, LARGEST))
    return cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, disc)


def _peaks(values: npt.NDArray[Any], region: Box, *, count: int, spacing: int, least: float) -> list[Point]:
    """Greedy maxima of a region's values: take the highest, strike out its neighbourhood, repeat."""
    if count < 1 or spacing < 1:
        raise ValueError(f"count and spacing are at least 1, got {count} and {spacing}")
    left = np.where(np.isnan(values), -np.inf, values).astype(np.float32)
    points: list[Point] = []
    for _ in range(count):
        y, x = divmod(int(np.argmax(left)), left.shape[1])
        if left[y, x] == -np.inf or left[y, x] < least:
            break
        points.append(Point(region.x0 + x, region.y0 + y))
        rows, columns = (
            slice(max(0, y - spacing), y + spacing + 1),
            slice(max(0, x - spacing), x + spacing + 1),
        )
        yy, xx = np.ogrid[
            rows.start : min(rows.stop, left.shape[0]), columns.start : min(columns.stop, left.shape[1])
        ]
        left[rows, columns][(yy - y) ** 2 + (xx - x) ** 2 < spacing**2] = -np.inf
    return points
