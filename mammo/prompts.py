"""A box becomes point prompts: the paper's brightest pixel, or bright specks found robustly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidPrompt
from mammo.geometry import Box, Point, Size

Pixels = npt.NDArray[np.float32]

LARGEST_MM = 1.05
"""Diameter of the largest calcification that the robust rule looks for."""

SKIN_MM = 1.5
"""The robust rule takes no point this close to the air: the skin line and its pores are bright and no lesion."""

AIR = 0.01
"""Pixels at most this bright are air."""

MARKER = 0.98
"""A marker or a clip is a plateau wider than a calcification: pixels above this part of the way from the middling to
the brightest value."""

WEAKEST = 0.3
"""A speck below this part of the strongest one's contrast is noise beside it and gives no prompt."""

MAX_POINTS = 256
"""Most points that a rule gives: the segmenter takes no more in one prompt."""


class PromptRule(Protocol):
    """How point prompts are chosen inside a box."""

    def __call__(
        self, pixels: Pixels, box: Box, *, count: int, spacing: int, mm_per_pixel: float
    ) -> list[Point]: ...


def brightest_points(
    pixels: Pixels,
    box: Box,
    *,
    count: int,
    spacing: int,
    mm_per_pixel: float,
) -> list[Point]:
    """Return the brightest pixels of a box, brightest first, no two closer than `spacing`.

    With `count=1` this is the paper's rule: start from minus infinity and take every pixel that beats the maximum so
    far, row by row; the first of equal pixels wins. A pixel that is no number never wins.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
        count: at most so many points.
        spacing: least distance between two points, in pixels.
        mm_per_pixel: without effect on this rule.

    Raises:
        InvalidPrompt: the box does not meet the image, or more than `MAX_POINTS` are asked for.
        ValueError: `count` or `spacing` is below 1.
    """
    region = _within(box, pixels)
    return _peaks(pixels[region.slices], region, count=count, spacing=spacing, least=-np.inf)


def robust_points(
    pixels: Pixels,
    box: Box,
    *,
    count: int,
    spacing: int,
    mm_per_pixel: float,
) -> list[Point]:
    """Return the specks of a box that stand out most from their own surroundings, strongest first.

    A white top-hat removes everything larger than a calcification (dense tissue, vessels' breadth, labels), and a
    pixel that none of its neighbours supports is a defect of the detector, not a calcification: it is cut down to
    its brightest neighbour first. Nothing is taken from the skin line, from the air, or from a marker's plateau. A box
    in which nothing stands out gives no point.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright, full depth.
        count: at most so many points.
        spacing: least distance between two points, in pixels.
        mm_per_pixel: sizes what counts as a calcification and as the skin.

    Raises:
        InvalidPrompt: the box does not meet the image, or more than `MAX_POINTS` are asked for.
        ValueError: `count` or `spacing` is below 1.
    """
    region = _within(box, pixels)
    largest = _odd(LARGEST_MM / mm_per_pixel)
    context = region.dilated(2 * largest).within(_size(pixels))
    surroundings = np.nan_to_num(pixels[context.slices], nan=0.0, posinf=0.0, neginf=0.0)
    contrast = _speck_contrast(surroundings, largest=largest)
    contrast[_refused(surroundings, largest=largest, skin=round(SKIN_MM / mm_per_pixel))] = 0
    inside = contrast[region.shifted(-context.x0, -context.y0).slices]
    strongest = float(inside.max())
    if strongest <= 0:
        return _peaks(inside, region, count=count, spacing=spacing, least=np.inf)
    return _peaks(inside, region, count=count, spacing=spacing, least=WEAKEST * strongest)


PROMPT_RULES: Mapping[str, PromptRule] = {"paper": brightest_points, "robust": robust_points}
"""The rules by the name that a setting or a model's manifest gives them."""


def _size(pixels: Pixels) -> Size:
    return Size(pixels.shape[1], pixels.shape[0])


def _within(box: Box, pixels: Pixels) -> Box:
    size = _size(pixels)
    common = box.intersection(size.box)
    if common is None:
        raise InvalidPrompt(
            f"box {box.as_tuple()} lies outside an image of {size.width} x {size.height} pixels; a box is in pixels of "
            "the original image"
        )
    return common


def _odd(diameter: float) -> int:
    """The nearest odd number of pixels, from 3 to 129."""
    return min(max(2 * round((diameter - 1) / 2) + 1, 3), 129)


def _disc(diameter: int) -> npt.NDArray[Any]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


def _speck_contrast(context: Pixels, *, largest: int) -> npt.NDArray[Any]:
    ring = np.ones((3, 3), np.uint8)
    ring[1, 1] = 0
    supported = np.minimum(context, cv2.dilate(context, ring))
    smooth = cv2.GaussianBlur(supported, (0, 0), 0.8)
    return cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, _disc(largest))


def _refused(context: Pixels, *, largest: int, skin: int) -> npt.NDArray[np.bool_]:
    """Where no calcification is looked for: at the skin line, in the air, and on plateaus as large as a marker."""
    air = context <= AIR
    refused = _large_parts(air, largest)
    if refused.any() and skin > 0:
        refused = cv2.dilate(refused.view(np.uint8), _disc(2 * skin + 1)).astype(np.bool_)
    if air.all():
        return refused
    middling, brightest = float(np.median(context[~air])), float(context.max())
    if brightest > middling:
        plateaus = _large_parts(context >= middling + MARKER * (brightest - middling), largest)
        refused |= cv2.dilate(plateaus.view(np.uint8), _disc(5)).astype(np.bool_)
    return refused


def _large_parts(bitmap: npt.NDArray[np.bool_], largest: int) -> npt.NDArray[np.bool_]:
    """The connected parts that are wider or higher than `largest` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bitmap.view(np.uint8), connectivity=8)
    large = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) > largest
    large[0] = False  # the background
    found: npt.NDArray[np.bool_] = large[labels]
    return found


def _peaks(values: npt.NDArray[Any], region: Box, *, count: int, spacing: int, least: float) -> list[Point]:
    """Greedy maxima of a region's values: take the highest, strike out its neighbourhood, repeat."""
    if count < 1 or spacing < 1:
        raise ValueError(f"count and spacing are at least 1, got {count} and {spacing}")
    if count > MAX_POINTS:
        raise InvalidPrompt(
            f"a prompt has at most {MAX_POINTS} points, got {count}; ask for fewer", code="too_many_points"
        )
    left = np.where(np.isfinite(values), values, -np.inf).astype(np.float32)
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
