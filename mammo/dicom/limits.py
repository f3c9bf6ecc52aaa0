"""How large a file and an image may be. Checked before anything is decoded or allocated."""

from __future__ import annotations

import stat
from pathlib import Path

from mammo.errors import UnreadableImage
from mammo.geometry import Size

MAX_BYTES = 256 * 2**20
"""Default for the largest file, in bytes. The largest detectors make 28 million pixels, 56 MB raw."""

MAX_PIXELS = 64 * 2**20
"""Largest image, in pixels; digitised film reaches about 40 million."""

MAX_SIDE = 20_000
MIN_SIDE = 16


def read_bytes(source: Path | bytes, *, max_bytes: int) -> bytes:
    """Return the bytes of a regular file, or those given.

    Raises:
        UnreadableImage: `file_too_large` or `unreadable_file`.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if not stat.S_ISREG(source.stat().st_mode):  # a pipe or a device may never end
                raise UnreadableImage("the image path names no regular file", code="unreadable_file")
            with source.open("rb") as file:
                data = file.read(max_bytes + 1)
        except (OSError, ValueError):  # ValueError: a null byte in the path
            raise UnreadableImage("the image file cannot be opened", code="unreadable_file") from None
    if len(data) > max_bytes:
        raise UnreadableImage(
            f"the file has more than the {max_bytes} bytes that are read", code="file_too_large"
        )
    return data


def check_size(width: int, height: int) -> Size:
    """Return the size when an image of it may be decoded.

    Raises:
        UnreadableImage: `bad_geometry` or `too_large`.
    """
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise UnreadableImage(
            f"expected sides of {MIN_SIDE} to {MAX_SIDE} pixels, got {width} x {height}", code="bad_geometry"
        )
    if width * height > MAX_PIXELS:
        raise UnreadableImage(
            f"{width} x {height} pixels are more than the {MAX_PIXELS} that are read", code="too_large"
        )
    return Size(width, height)
