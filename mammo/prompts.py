"""Prompt rules: choose points inside a box, by the paper's brightest pixel or by a robust speck detector.

Step 3 of the walk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidPrompt
from mammo.geometry import Box, Point, Size
from mammo.pixels import Pixels, size_of

PROMPT_SPACING_MM = 0.5
"""Least distance between two point prompts, in mm; about the nearest-neighbour distance within a cluster."""

MAX_CALCIFICATION_MM = 1.05
"""Diameter of the largest calcification that the robust rule looks for."""

SKIN_MM = 1.5
"""Width of the margin next to the air in which the robust rule chooses no point: the skin line and its pores are
bright, but no lesion."""

AIR = 0.01
"""Grey value at or below which a pixel is air."""

MARKER = 0.98
"""A marker or clip is a plateau wider than a calcification. Plateau pixels exceed this fraction of the range from the
median to the maximum grey value."""

MIN_CONTRAST = 0.3
"""Contrast that a speck needs, as a fraction of the strongest speck's; weaker specks are noise."""

NORMAL = 1.4826
"""Standard deviation of a normal distribution, in median absolute deviations."""

MAX_POINTS = 256
"""Maximum number of points in one prompt: each is a token of the decoder's attention."""


class PromptRule(Protocol):
    """Chooses point prompts inside a box."""

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

    With `count=1` this is the paper's rule: scan row by row and keep the maximum; the first of equal pixels wins.
    NaN pixels are never chosen.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright.
        count: maximum number of points, 1 to `MAX_POINTS`.
        spacing: minimum distance between two points, in pixels; at least 1.
        mm_per_pixel: ignored by this rule.

    Raises:
        InvalidPrompt: the box does not overlap the image, or `count` exceeds `MAX_POINTS`.
        ValueError: `count` or `spacing` is below 1.
    """
    region = clip_prompt_box(box, size_of(pixels))
    return peaks(pixels[region.slices], region, count=count, spacing=spacing, minimum=-np.inf)


def robust_points(
    pixels: Pixels,
    box: Box,
    *,
    count: int,
    spacing: int,
    mm_per_pixel: float,
) -> list[Point]:
    """Return the specks of a box with the highest local contrast, strongest first.

    A white top-hat removes every structure larger than a calcification (dense tissue, vessels, labels). A bright pixel
    without a bright neighbour is a detector defect and is first reduced to its brightest neighbour. The skin line, the
    air and the plateaus of markers are excluded. A box without contrast yields no point.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright, full bit depth.
        count: maximum number of points, 1 to `MAX_POINTS`.
        spacing: minimum distance between two points, in pixels; at least 1.
        mm_per_pixel: pixel spacing; scales the filters for calcifications and skin.

    Raises:
        InvalidPrompt: the box does not overlap the image, or `count` exceeds `MAX_POINTS`.
        ValueError: `count` or `spacing` is below 1.
    """
    region = clip_prompt_box(box, size_of(pixels))
    inside = speck_contrast(pixels, region, mm_per_pixel=mm_per_pixel)
    strongest = float(inside.max())
    minimum = MIN_CONTRAST * strongest if strongest > 0 else np.inf
    return peaks(inside, region, count=count, spacing=spacing, minimum=minimum)


def speck_contrast(pixels: Pixels, region: Box, *, mm_per_pixel: float) -> npt.NDArray[Any]:
    """Return the local contrast of the pixels of a box, as `robust_points` sees it: h x w, in grey values, at least 0.

    Args:
        pixels: H x W, float32 in [0, 1], dense tissue bright, full bit depth.
        region: inside the image.
        mm_per_pixel: pixel spacing; scales the filters for calcifications and skin.
    """
    diameter = _odd(MAX_CALCIFICATION_MM / mm_per_pixel)
    context = region.dilated(2 * diameter).within(size_of(pixels))
    surroundings = np.nan_to_num(pixels[context.slices], nan=0.0, posinf=0.0, neginf=0.0)
    contrast = _speck_contrast(surroundings, diameter=diameter)
    contrast[_excluded(surroundings, diameter=diameter, skin=round(SKIN_MM / mm_per_pixel))] = 0
    return contrast[region.shifted(-context.x0, -context.y0).slices]


def contrast_noise(contrast: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the median of a speck contrast, and its noise: the standard deviation that its median deviation implies.

    Args:
        contrast: of `speck_contrast`; its zeros are not measured. Without other values both results are 0.
    """
    measured = contrast[contrast > 0]
    if not measured.size:
        return 0.0, 0.0
    middle = float(np.median(measured))
    return middle, NORMAL * float(np.median(np.abs(measured - middle)))


PROMPT_RULES: Mapping[str, PromptRule] = {"paper": brightest_points, "robust": robust_points}
"""Prompt rules by their names in settings and model manifests."""


def clip_prompt_box(box: Box, size: Size) -> Box:
    """Clip a prompt box to the image.

    Raises:
        InvalidPrompt: the box does not overlap the image.
    """
    clipped = box.intersection(size.box)
    if clipped is None:
        raise InvalidPrompt(
            f"box {box.as_tuple()} lies outside the image of {size.width} x {size.height} pixels; give the box in "
            "pixels of the original image"
        )
    return clipped


def _odd(diameter: float) -> int:
    """Round to the nearest odd number of pixels, clipped to [3, 129]."""
    return min(max(2 * round((diameter - 1) / 2) + 1, 3), 129)


def _disc(diameter: int) -> npt.NDArray[Any]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


def _speck_contrast(context: Pixels, *, diameter: int) -> npt.NDArray[Any]:
    """White top-hat with a disc of `diameter` pixels, after hot pixels were reduced to their brightest neighbour."""
    ring = np.ones((3, 3), np.uint8)
    ring[1, 1] = 0
    supported = np.minimum(context, cv2.dilate(context, ring))
    smooth = cv2.GaussianBlur(supported, (0, 0), 0.8)
    return cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, _disc(diameter))


def _excluded(context: Pixels, *, diameter: int, skin: int) -> npt.NDArray[np.bool_]:
    """H x W, True where no calcification is expected: air, skin line, and plateaus larger than a calcification."""
    air = context <= AIR
    excluded = _large_components(air, min_extent=diameter)
    if excluded.any() and skin > 0:
        excluded = cv2.dilate(excluded.view(np.uint8), _disc(2 * skin + 1)).astype(np.bool_)
    if air.all():
        return excluded
    median, maximum = float(np.median(context[~air])), float(context.max())
    if maximum > median:
        plateaus = _large_components(context >= median + MARKER * (maximum - median), min_extent=diameter)
        excluded |= cv2.dilate(plateaus.view(np.uint8), _disc(5)).astype(np.bool_)
    return excluded


def _large_components(bitmap: npt.NDArray[np.bool_], *, min_extent: int) -> npt.NDArray[np.bool_]:
    """Connected components that are wider or taller than `min_extent` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bitmap.view(np.uint8), connectivity=8)
    large = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) > min_extent
    large[0] = False  # the background
    components: npt.NDArray[np.bool_] = large[labels]
    return components


def peaks(values: npt.NDArray[Any], region: Box, *, count: int, spacing: int, minimum: float) -> list[Point]:
    """Return the highest values of a box of at least `minimum`, highest first, no two closer than `spacing`.

    Greedy non-maximum suppression: take the highest value, suppress its neighbourhood, repeat.

    Args:
        values: h x w, of the pixels of the box.
        region: the box.
        count: maximum number of points, 1 to `MAX_POINTS`.
        spacing: minimum distance between two points, in pixels; at least 1.

    Raises:
        InvalidPrompt: `count` exceeds `MAX_POINTS`.
        ValueError: `count` or `spacing` is below 1.
    """
    if count < 1 or spacing < 1:
        raise ValueError(f"count and spacing are at least 1, got {count} and {spacing}")
    if count > MAX_POINTS:
        raise InvalidPrompt(
            f"a prompt has at most {MAX_POINTS} points, got {count}; ask for fewer", code="too_many_points"
        )
    remaining = np.where(np.isfinite(values), values, -np.inf).astype(np.float32)
    height, width = remaining.shape
    points: list[Point] = []
    for _ in range(count):
        y, x = divmod(int(np.argmax(remaining)), width)
        if remaining[y, x] == -np.inf or remaining[y, x] < minimum:
            break
        points.append(Point(region.x0 + x, region.y0 + y))
        rows = slice(max(0, y - spacing), min(y + spacing + 1, height))
        columns = slice(max(0, x - spacing), min(x + spacing + 1, width))
        yy, xx = np.ogrid[rows, columns]
        remaining[rows, columns][(yy - y) ** 2 + (xx - x) ** 2 < spacing**2] = -np.inf
    return points
