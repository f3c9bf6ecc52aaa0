"""The `meta` of predicted regions: the finding, its box and prompts, and the frame and area of its pixels.

Label Studio returns `meta` through browsers and other programs, so every value is validated before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammo.geometry import Box, Point, Size
from mammo.masks import Mask

MAX_SIDE = 2**20
"""Upper bound of a pixel coordinate, above any image's width and height."""

ROUNDING = 0.01
"""Largest relative change of an untouched region's area on its way through a browser."""


def is_untouched(region: Mapping[str, Any], mask: Mask) -> bool:
    """Whether a region still covers the predicted pixels: frame to one pixel, area to `ROUNDING`."""
    predicted = predicted_pixels(region)
    if predicted is None:
        return False
    actual = frame_and_area(mask)
    shift = max(abs(before - after) for before, after in zip(predicted[:4], actual[:4], strict=True))
    return shift <= 1 and abs(actual[4] - predicted[4]) <= max(1, ROUNDING * predicted[4])


def predicted_pixels(region: Mapping[str, Any]) -> list[int] | None:
    """Return the predicted frame (x0, y0, x1, y1) and area of a region; None if it was not predicted."""
    values = _integers(region, "pixels", 5)
    if values is None:
        return None
    x0, y0, x1, y1, area = values
    return values if 0 <= x0 < x1 < MAX_SIDE and 0 <= y0 < y1 < MAX_SIDE and area > 0 else None


def frame_and_area(mask: Mask) -> list[int]:
    """Return the tight frame (x0, y0, x1, y1) and the area of a mask; zeros when no pixel is set."""
    tight = mask.tight()
    return [0, 0, 0, 0, 0] if tight is None else [*tight.frame.as_tuple(), tight.area]


def predicted_box(region: Mapping[str, Any], size: Size) -> Box | None:
    """Return the detector's box of a predicted region; None if it is missing or lies outside the image."""
    values = _integers(region, "box", 4)
    if values is None:
        return None
    x0, y0, x1, y1 = values
    if not (0 <= x0 < x1 <= size.width and 0 <= y0 < y1 <= size.height):
        return None
    return Box(x0, y0, x1, y1)


def predicted_prompts(region: Mapping[str, Any], size: Size) -> tuple[Point, ...]:
    """Return the point prompts of a predicted region; points outside the image are left out."""
    prompts = meta_value(region, "prompts")
    pairs = [each for each in prompts if isinstance(each, list)] if isinstance(prompts, list) else []
    return tuple(
        Point(*pair)
        for pair in pairs
        if len(pair) == 2
        and all(type(each) is int for each in pair)
        and 0 <= pair[0] < size.width
        and 0 <= pair[1] < size.height
    )


def is_box_only(region: Mapping[str, Any]) -> bool:
    """Whether a predicted region outlines a box because its finding has no mask."""
    return meta_value(region, "only_box") is True


def predicted_finding(region: Mapping[str, Any]) -> str | None:
    """Return the id of the finding for which a region was predicted; None if it was not predicted."""
    name = meta_value(region, "finding")
    return name if isinstance(name, str) else None


def meta_value(region: Mapping[str, Any], key: str) -> Any:
    """Return a value of a region's `meta`; None if it is missing."""
    meta = region.get("meta")
    return meta.get(key) if isinstance(meta, Mapping) else None


def _integers(region: Mapping[str, Any], key: str, length: int) -> list[int] | None:
    values = meta_value(region, key)
    if not isinstance(values, list) or len(values) != length or not all(type(v) is int for v in values):
        return None
    return values
