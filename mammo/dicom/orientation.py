"""EXIF orientation of PNG and JPEG images.

Annotators see the image as their browser displays it, and browsers apply the EXIF orientation. This module follows the
same rules: the first EXIF block counts, and in it the first orientation that is a single SHORT from 1 to 8; damaged,
missing and out-of-range values are ignored. (TIFF files, which no browser displays, are oriented by their decoder.)
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.dicom.codestream import START_OF_SCAN, jpeg_segments, png_chunks
from mammo.errors import UnreadableImage

UPRIGHT = 1
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""

ORIENTATION_TAG, SHORT = 274, 3
APP1 = 0xE1


def jpeg_orientation(data: bytes) -> int:
    """EXIF orientation that browsers apply to a JPEG, 1 to 8."""
    for marker, body in jpeg_segments(data):
        if marker == START_OF_SCAN:
            break
        if marker == APP1 and body[:5] == b"Exif\0":
            return _exif_orientation(body[6:])
    return UPRIGHT


def png_orientation(data: bytes) -> int:
    """EXIF orientation that browsers apply to a PNG, 1 to 8.

    Raises:
        UnreadableImage: `orientation`; an eXIf chunk that browsers ignore states another orientation, which other
            programs may apply.
    """
    applied, stated = UPRIGHT, set[int]()
    is_first, has_pixels = True, False
    for kind, offset, length in png_chunks(data):
        if kind == b"eXIf":
            body = data[offset + 8 : offset + 8 + length]
            orientation = _exif_orientation(body.removeprefix(b"Exif\0\0"))
            stated.add(orientation)
            is_valid = body[:4] != b"Exif" and _has_valid_checksum(data, offset, length)
            if is_first and not has_pixels and is_valid:
                applied = orientation
            is_first = False
        has_pixels = has_pixels or kind == b"IDAT"
    if stated - {applied, UPRIGHT} or (stated and applied == UPRIGHT and stated != {UPRIGHT}):
        raise UnreadableImage(
            "the PNG states an EXIF orientation that browsers ignore; rotate the image and save it without EXIF",
            code="orientation",
        )
    return applied


def upright(values: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Apply an EXIF orientation to H x W or H x W x channels; 5 to 8 swap height and width."""
    if orientation in SIDEWAYS:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def _exif_orientation(exif: bytes) -> int:
    """The orientation in the first directory of an EXIF block, which is a TIFF header and its directories."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return UPRIGHT
    try:
        (offset,) = struct.unpack_from(order + "L", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, num_values, value, _ = struct.unpack_from(order + "HHLHH", exif, entry)
            if (tag, kind, num_values) == (ORIENTATION_TAG, SHORT, 1) and 1 <= value <= 8:
                return int(value)
    except struct.error:
        # The directory extends beyond the block; only the entries inside it count.
        return UPRIGHT
    return UPRIGHT


def _has_valid_checksum(data: bytes, offset: int, length: int) -> bool:
    """Whether the checksum of the PNG chunk at `offset` is correct."""
    stated = data[offset + 8 + length : offset + 12 + length]
    return zlib.crc32(data[offset + 4 : offset + 8 + length]).to_bytes(4, "big") == stated
