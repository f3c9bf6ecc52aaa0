"""What a model sent with a region, in its `meta`: the finding, its box and prompts, and what its pixels were.

`meta` comes back through browsers and other programs: whatever stands there is checked before it is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammo.geometry import Box, Point, Size
from mammo.masks import Mask

MAX_SIDE = 2**20
"""More pixels than any image is wide."""

ROUNDING = 0.01
"""Share of a region's area by which what a browser sends back of an untouched one may differ."""


def as_sent(region: Mapping[str, Any], mask: Mask) -> bool:
    """Whether a region still covers what was sent, to within a pixel of its frame and `ROUNDING` of its area."""
    sent = sent_pixels(region)
    if sent is None:
        return False
    now = pixels_of(mask)
    moved = max(abs(before - after) for before, after in zip(sent[:4], now[:4], strict=True))
    return moved <= 1 and abs(now[4] - sent[4]) <= max(1, ROUNDING * sent[4])


def sent_pixels(region: Mapping[str, Any]) -> list[int] | None:
    """Frame (x0, y0, x1, y1) and area of what a model sent as this region; None for what it did not send."""
    stated = in_meta(region, "pixels")
    if not isinstance(stated, list) or len(stated) != 5 or not all(type(each) is int for each in stated):
        return None
    x0, y0, x1, y1, area = stated
    return stated if 0 <= x0 < x1 < MAX_SIDE and 0 <= y0 < y1 < MAX_SIDE and area > 0 else None


def pixels_of(mask: Mask) -> list[int]:
    """Frame (x0, y0, x1, y1) and area of a mask; zeros when it is empty."""
    tight = mask.tight()
    return [0, 0, 0, 0, 0] if tight is None else [*tight.frame.as_tuple(), tight.area]


def sent_box(region: Mapping[str, Any], size: Size) -> Box | None:
    """The detector's box of a region that a model made; None where it has none, or a senseless one."""
    stated = in_meta(region, "box")
    if not isinstance(stated, list) or len(stated) != 4 or not all(type(each) is int for each in stated):
        return None
    x0, y0, x1, y1 = stated
    if not (0 <= x0 < x1 <= size.width and 0 <= y0 < y1 <= size.height):
        return None
    return Box(x0, y0, x1, y1)


def sent_prompts(region: Mapping[str, Any], size: Size) -> tuple[Point, ...]:
    """The point prompts of a region that a model made; those that are none of the image's pixels are left out."""
    stated = in_meta(region, "prompts")
    pairs = (
        [each for each in stated if isinstance(each, list) and len(each) == 2]
        if isinstance(stated, list)
        else []
    )
    return tuple(
        Point(x, y)
        for x, y in pairs
        if type(x) is int and type(y) is int and 0 <= x < size.width and 0 <= y < size.height
    )


def is_only_box(region: Mapping[str, Any]) -> bool:
    """Whether the pixels of an untouched region stand for a box whose mask is not known."""
    return in_meta(region, "only_box") is True


def finding_of(region: Mapping[str, Any]) -> str | None:
    """The prelabelled finding that a region was sent for; None for what a model did not send."""
    name = in_meta(region, "finding")
    return name if isinstance(name, str) else None


def in_meta(region: Mapping[str, Any], key: str) -> Any:
    """A value of a region's `meta`; None where there is none."""
    meta = region.get("meta")
    return meta.get(key) if isinstance(meta, Mapping) else None
