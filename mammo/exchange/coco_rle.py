"""Decoder of untrusted COCO RLE. Unlike the C decoders, it validates the run lengths before it allocates memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mammo.errors import InvalidRegion
from mammo.geometry import Size
from mammo.masks import Mask, PixelBudget

MAX_COUNTS = 2**22
"""Longest compressed counts, in characters, and most uncompressed ones: more than 1 % salt noise on a mammogram has."""


def mask_of_rle(rle: Mapping[str, Any], *, size: Size, budget: PixelBudget | None = None) -> Mask | None:
    """Decode `{"size": [height, width], "counts": ...}`, with compressed (string) or uncompressed (list) counts.

    Args:
        rle: the object.
        size: of the image, which the RLE must have.
        budget: of the image's annotations.

    Returns:
        The mask; None when no pixel is set.

    Raises:
        InvalidRegion: the RLE is of another size, its counts are invalid, or the budget is spent.
    """
    stated = rle.get("size")
    if not isinstance(stated, list | tuple) or list(stated) != [size.height, size.width]:
        raise InvalidRegion(f"expected COCO RLE of the image's size [{size.height}, {size.width}]")
    if not size.is_plausible:
        raise InvalidRegion(
            f"an image of {size.width} x {size.height} pixels is larger than any mammogram", code="too_large"
        )
    counts = rle.get("counts")
    if not isinstance(counts, str | list) or len(counts) > MAX_COUNTS:
        raise InvalidRegion(f"expected COCO counts as a string or a list of at most {MAX_COUNTS}")
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    if not all(type(run) is int and run >= 0 for run in runs):
        raise InvalidRegion("expected COCO counts as a string or a list of whole numbers")
    if sum(runs) != size.width * size.height:
        raise InvalidRegion("expected COCO counts whose sum is the number of pixels of the image")
    if budget is not None:
        budget.spend(8 * len(runs))
    ends = np.cumsum(np.array([0, *runs], np.int64))  # The first run is background.
    return Mask.from_runs(ends[1:-1:2], ends[2::2], size=size, by_columns=True, budget=budget)


def _decompressed(text: str) -> list[int]:
    """Return the run lengths: base-32 digits from `0` on, lowest first, of differences to the run before the last."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 60:
            raise InvalidRegion("COCO counts contain an invalid character")
        value |= (digit & 0x1F) << shift
        shift += 5
        if digit & 0x20:
            continue
        if digit & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    if shift:
        raise InvalidRegion("COCO counts are truncated within a number")
    return runs
