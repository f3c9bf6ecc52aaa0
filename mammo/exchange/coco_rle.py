"""COCO run lengths from outside: checked before anything is painted; the C decoders believe what they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammo.errors import InvalidRegion
from mammo.geometry import Size
from mammo.masks import Mask


def mask_of_rle(rle: Mapping[str, Any], *, size: Size) -> Mask | None:
    """The mask of `{"size": [height, width], "counts": ...}`, compressed (a string) or not (a list).

    Args:
        size: of the image; the run lengths must be of the same.

    Returns:
        None for an empty mask.

    Raises:
        InvalidRegion: another size, or counts that do not add up to it.
    """
    stated = rle.get("size")
    if not isinstance(stated, Sequence) or list(stated) != [size.height, size.width]:
        raise InvalidRegion(f"run lengths of another size than the image ({size.height} x {size.width})")
    counts = rle.get("counts")
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise InvalidRegion("COCO counts are a string or a list of whole numbers")
    if sum(runs) != size.width * size.height:
        raise InvalidRegion("the run lengths do not add up to the size of the image")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # the first run is background
    return Mask.from_full(flat.reshape(size.width, size.height).T)  # column by column


def _decompressed(text: str) -> list[int]:
    """Run lengths of the compressed form: digits from `0` on, low first, as differences to the run two before."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 60:
            raise InvalidRegion("COCO counts hold a character that is none of theirs")
        value |= (digit & 0x1F) << shift
        shift += 5
        if digit & 0x20:
            continue
        if digit & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    if shift:
        raise InvalidRegion("COCO counts end within a number")
    return runs
