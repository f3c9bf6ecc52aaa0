"""Limits of file and image size, checked before anything is decoded or allocated."""

from __future__ import annotations

import errno
from pathlib import Path

from mammo.errors import UnreadableImage
from mammo.geometry import MAX_PIXELS, MAX_SIDE, Size
from mammo.input_files import read_input

MAX_BYTES = 256 * 2**20
"""Default limit of the file size, in bytes. The largest detectors have 28 million pixels, 56 MB uncompressed."""

MIN_SIDE = 16
"""Minimum side of an image, in pixels."""


def read_bytes(source: Path | bytes, *, max_bytes: int) -> bytes:
    """Read a regular file; return bytes unchanged.

    Raises:
        UnreadableImage: `file_too_large` or `unreadable_file`.
    """
    if isinstance(source, bytes):
        if len(source) > max_bytes:
            raise _too_large(max_bytes)
        return source
    try:
        return read_input(source, max_bytes=max_bytes)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _too_large(max_bytes) from None
        raise UnreadableImage(
            f"the image file cannot be opened: {error.strerror}; check that it is a file and may be read",
            code="unreadable_file",
        ) from None


def _too_large(max_bytes: int) -> UnreadableImage:
    return UnreadableImage(f"the file exceeds the limit of {max_bytes} bytes", code="file_too_large")


def check_size(width: int, height: int) -> Size:
    """Check the size of an image before it is decoded.

    Raises:
        UnreadableImage: `bad_geometry` or `too_large`.
    """
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise UnreadableImage(
            f"expected sides of {MIN_SIDE} to {MAX_SIDE} pixels, got {width} x {height}", code="bad_geometry"
        )
    if width * height > MAX_PIXELS:
        raise UnreadableImage(
            f"{width} x {height} pixels exceed the limit of {MAX_PIXELS}; crop the image to one breast",
            code="too_large",
        )
    return Size(width, height)
