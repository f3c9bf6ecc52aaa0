"""Burned-in text: blanked outside the breast, detected over the breast for review by a person."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.uint16]
Bits = npt.NDArray[np.bool_]

SCALE = 8
"""Factor by which the image is downsampled to find the breast."""

TISSUE = 0.04
"""Threshold between air and tissue, as a fraction of the range from the minimum to the 99th percentile."""

OPENING = 2
"""Iterations of the opening that separates text from the breast, in downsampled pixels."""

MARGIN = 12
"""Iterations of the dilation, in downsampled pixels: preserves faint skin and about 7 mm of air."""

MIN_BREAST = 0.02
"""Minimum area of the breast, as a fraction of the image."""

GLYPH_HEIGHT = (8, 260)
"""Minimum and maximum height of a character, in pixels."""

MAX_STROKE = 0.36
"""Maximum stroke width of a character, as a fraction of its height; calcifications and clips are blobs."""

MIN_STEP = 0.15
"""Minimum grey step from a character to its surroundings, as a fraction of the range; clipped noise has no step."""

MIN_GLYPHS = 3
"""Minimum number of characters of a line of text."""

MAX_SHAPES = 5000
"""Number of shapes of one value above which the image counts as text unseen: a saturated texture."""


@dataclass(frozen=True, eq=False)
class Cleaned:
    """The pixels after cleaning, and the reason for a review."""

    levels: Levels
    """H x W; all pixels outside the breast and its margin have the value of air."""

    num_blanked: int
    """Number of pixels that changed."""

    concern: str | None
    """Why a person must review the image: `text` over the breast, or `no_breast` found; None without concern."""


def clean(levels: Levels, *, dense_is_high: bool) -> Cleaned:
    """Blank everything outside the breast, and detect text over the breast.

    Args:
        levels: H x W stored values, unsigned.
        dense_is_high: whether dense tissue has high values.
    """
    breast = _breast(levels, dense_is_high=dense_is_high)
    if breast is None:
        return Cleaned(levels, 0, "no_breast")
    concern = "text" if has_text(levels, within=breast) else None
    outside = ~breast
    if not outside.any():
        return Cleaned(levels, 0, concern)
    air = int(np.argmax(np.bincount(levels[outside])))
    cleaned = np.where(breast, levels, np.uint16(air))
    return Cleaned(cleaned, int(np.count_nonzero(cleaned != levels)), concern)


def has_text(levels: Levels, *, within: Bits) -> bool:
    """Whether there is a line of at least `MIN_GLYPHS` characters: thin strokes of exactly the lowest or highest value.

    Burned-in text has the lowest or the highest value of the image. Tissue reaches these values in places, but not as
    several thin shapes of equal height side by side.
    """
    low, high = int(levels[within].min()), int(levels[within].max())
    return any(
        _has_line(levels, extreme, within=within, min_step=MIN_STEP * (high - low)) for extreme in (low, high)
    )


def _breast(levels: Levels, *, dense_is_high: bool) -> Bits | None:
    """H x W, True on the breast and its margin; None when no shape is large enough."""
    height, width = levels.shape
    size = (max(1, width // SCALE), max(1, height // SCALE))
    small = np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA), np.float32)
    if not dense_is_high:
        small = small.max() - small
    minimum = float(small.min())
    tissue = (small > minimum + TISSUE * (float(np.percentile(small, 99)) - minimum)).astype(np.uint8)
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
    """Fill the holes of a shape: fat may be as dark as air."""
    outlines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(shape.copy(), outlines, -1, 1, cv2.FILLED), np.uint8)


def _has_line(levels: Levels, value: int, *, within: Bits, min_step: float) -> bool:
    """Whether pixels of one value form characters side by side."""
    mask = ((levels == value) & within).astype(np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    low, high = GLYPH_HEIGHT
    candidates = [
        index
        for index in range(1, count)
        if low <= stats[index, cv2.CC_STAT_HEIGHT] <= high and stats[index, cv2.CC_STAT_WIDTH] <= 2 * high
    ]
    if not MIN_GLYPHS <= len(candidates) <= MAX_SHAPES:
        return len(candidates) > MAX_SHAPES
    glyphs = [
        (centres[index], int(stats[index, cv2.CC_STAT_HEIGHT]))
        for index in candidates
        if _is_glyph(levels, labels, stats, index, value=value, min_step=min_step)
    ]
    for (_, y), height in glyphs:
        columns = sorted(
            x
            for (x, other_y), other_height in glyphs
            if abs(other_y - y) < 0.5 * height and 0.6 < other_height / height < 1.7
        )
        run = 1
        for left, right in itertools.pairwise(columns):
            run = run + 1 if right - left < 3 * height else 1
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
    min_step: float,
) -> bool:
    """Whether a shape has thin strokes for its height, and a clear grey step to its surroundings."""
    x, y, width, height, area = (int(part) for part in stats[index])
    shape = np.pad((labels[y : y + height, x : x + width] == index).astype(np.uint8), 1)
    stroke = 2 * float(cv2.distanceTransform(shape, cv2.DIST_L2, 3).max())
    if stroke > MAX_STROKE * height or area < 0.5 * height:
        return False
    ring = np.asarray(cv2.dilate(shape, np.ones((3, 3), np.uint8)))[1:-1, 1:-1] > shape[1:-1, 1:-1]
    around = levels[y : y + height, x : x + width][ring]
    return around.size > 0 and abs(float(np.median(around)) - value) >= min_step
