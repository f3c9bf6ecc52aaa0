"""Text that is part of the picture: blanked where there is no breast, found where there is, for a person to look at."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.uint16]
Bits = npt.NDArray[np.bool_]

SCALE = 8
"""The breast is found on an image this many times smaller."""

TISSUE = 0.04
"""Tissue begins at this share of the way from the darkest to the 99th percentile."""

OPENING = 2
"""Iterations that cut text off from the breast when they touch, in small pixels."""

MARGIN = 12
"""Iterations of dilation, in small pixels: about 7 mm of air stay, and with them every faint piece of skin."""

MIN_BREAST = 0.02
"""Least share of the image that can be a breast."""

GLYPH_HEIGHT = (8, 260)
"""Of a character, in pixels."""

MAX_STROKE = 0.36
"""Widest stroke of a character, as a share of its height; a calcification or a clip is a blob."""

MIN_STEP = 0.15
"""From a character to what surrounds it, as a share of all grey levels; clipped noise fades into its surroundings."""

MIN_GLYPHS = 3
"""Characters on one line that make a text."""


@dataclass(frozen=True, eq=False)
class Cleaned:
    """The picture after cleaning, and what a person must decide."""

    levels: Levels
    """H x W; everything but the breast and its margin has the value of air."""

    num_blanked: int
    """Pixels that changed."""

    concern: str | None
    """Why a person must look: `text` over the breast, `no_breast` to be found; None when nobody need."""


def clean(levels: Levels, *, dense_is_high: bool) -> Cleaned:
    """Blank everything outside the breast and look for text that lies over it.

    Args:
        levels: H x W stored values, unsigned.
        dense_is_high: True when dense tissue has the higher values.
    """
    breast = _breast(levels, dense_is_high=dense_is_high)
    if breast is None:
        return Cleaned(levels, 0, "no_breast")
    outside = ~breast
    if not outside.any():
        return Cleaned(levels, 0, "text" if has_text(levels, within=breast) else None)
    air = int(np.argmax(np.bincount(levels[outside])))
    cleaned = np.where(breast, levels, np.uint16(air))
    num_blanked = int(np.count_nonzero(cleaned != levels))
    return Cleaned(cleaned, num_blanked, "text" if has_text(levels, within=breast) else None)


def has_text(levels: Levels, *, within: Bits) -> bool:
    """True when there is a line of at least `MIN_GLYPHS` characters: thin strokes of exactly the extreme value.

    A picture processor draws text in its blackest black or its whitest white, over whatever lies below; tissue
    reaches those values here and there, but not as several thin shapes of one height side by side.
    """
    lows, highs = int(levels[within].min()), int(levels[within].max())
    return any(
        _lines(levels, extreme, within=within, least_step=MIN_STEP * (highs - lows))
        for extreme in (lows, highs)
    )


def _breast(levels: Levels, *, dense_is_high: bool) -> Bits | None:
    """H x W, True on the breast and its margin; None when there is no shape that could be one."""
    height, width = levels.shape
    size = (max(1, width // SCALE), max(1, height // SCALE))
    small = np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA), np.float32)
    if not dense_is_high:
        small = small.max() - small
    least = float(small.min())
    tissue = (small > least + TISSUE * (float(np.percentile(small, 99)) - least)).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    tissue = np.asarray(cv2.morphologyEx(tissue, cv2.MORPH_OPEN, cross, iterations=OPENING), np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(tissue, connectivity=4)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if stats[largest, cv2.CC_STAT_AREA] < MIN_BREAST * size[0] * size[1]:
        return None
    shape = _filled((labels == largest).astype(np.uint8))
    grown = cv2.dilate(shape, cross, iterations=MARGIN)
    return np.asarray(cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST)) > 0


def _filled(shape: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Holes belong to the breast: fat may be as dark as air."""
    outlines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(shape.copy(), outlines, -1, 1, cv2.FILLED), np.uint8)


def _lines(levels: Levels, value: int, *, within: Bits, least_step: float) -> bool:
    """True when pixels of one value form characters side by side."""
    mask = ((levels == value) & within).astype(np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    low, high = GLYPH_HEIGHT
    tall = [
        index
        for index in range(1, count)
        if low <= stats[index, cv2.CC_STAT_HEIGHT] <= high and stats[index, cv2.CC_STAT_WIDTH] <= 2 * high
    ]
    if not MIN_GLYPHS <= len(tall) <= 5000:  # a saturated texture has tens of thousands of shapes
        return len(tall) > 5000
    glyphs = [
        (centres[index], int(stats[index, cv2.CC_STAT_HEIGHT]))
        for index in tall
        if _is_glyph(levels, labels, stats, index, value=value, least_step=least_step)
    ]
    for (_, y), tallness in glyphs:
        beside = [
            x
            for (x, other), other_tallness in glyphs
            if abs(other - y) < 0.5 * tallness and 0.6 < other_tallness / tallness < 1.7
        ]
        beside.sort()
        run = 1
        for left, right in itertools.pairwise(beside):
            run = run + 1 if right - left < 3 * tallness else 1
            if run >= MIN_GLYPHS:
                return True
    return False


def _is_glyph(
    levels: Levels,
    labels: npt.NDArray[np.int32],
    stats: npt.NDArray[np.int32],
    index: int,
    *,
    value: int,
    least_step: float,
) -> bool:
    """True when a shape's widest stroke is narrow for its height and its surroundings are clearly another grey."""
    x, y, width, height, area = (int(part) for part in stats[index])
    shape = np.pad((labels[y : y + height, x : x + width] == index).astype(np.uint8), 1)
    stroke = 2 * float(cv2.distanceTransform(shape, cv2.DIST_L2, 3).max())
    if stroke > MAX_STROKE * height or area < 0.5 * height:
        return False
    ring = np.asarray(cv2.dilate(shape, np.ones((3, 3), np.uint8)))[1:-1, 1:-1] > shape[1:-1, 1:-1]
    around = levels[y : y + height, x : x + width][ring]
    return around.size > 0 and abs(float(np.median(around)) - value) >= least_step
