"""Orientation: how a picture's EXIF says that it is to be turned before anybody looks at it.

Annotators see what their browser shows, and browsers turn a picture as its EXIF says. So it is turned here too, by
their rules: the first EXIF block counts, and in it the first orientation that is one SHORT of 1 to 8; whatever is
damaged, missing or out of range turns nothing. (TIFF files, which no browser shows, are turned by their decoder.)
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.dicom.codestream import jpeg_segments
from mammo.errors import UnreadableImage

UPRIGHT = 1
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange width and height."""

ORIENTATION_TAG, SHORT = 274, 3
APP1 = 0xE1

MAX_CHUNKS = 2**18
"""Of a PNG that are looked at; the largest that are read have some ten thousand."""


def jpeg_orientation(data: bytes) -> int:
    """How browsers turn a JPEG, 1 to 8."""
    for marker, body in jpeg_segments(data):
        if marker == 0xDA:
            break
        if marker == APP1 and body[:5] == b"Exif\0":
            return _exif_orientation(body[6:])
    return UPRIGHT


def png_orientation(data: bytes) -> int:
    """How browsers turn a PNG, 1 to 8.

    Raises:
        UnreadableImage: `orientation`; an eXIf chunk that browsers pass over asks for another turn than they make, and
            other programs do not pass over it.
    """
    seen, stated = UPRIGHT, set[int]()
    at, first, pixels = 8, True, False
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            break
        length, kind = struct.unpack_from(">L4s", data, at)
        if kind == b"eXIf":
            body = data[at + 8 : at + 8 + length]
            orientation = _exif_orientation(body.removeprefix(b"Exif\0\0"))
            stated.add(orientation)
            if first and not pixels and body[:4] != b"Exif" and _checked(data, at, length):
                seen = orientation
            first = False
        pixels = pixels or kind == b"IDAT"
        at += 12 + length
    if stated - {seen, UPRIGHT} or (stated and seen == UPRIGHT and stated != {UPRIGHT}):
        raise UnreadableImage(
            "the PNG says in a place that browsers pass over that it is to be turned; turn it and save it again",
            code="orientation",
        )
    return seen


def upright(values: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """The pixels, H x W or H x W x channels, as they are to be looked at; 5 to 8 exchange height and width."""
    if orientation in SIDEWAYS:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def _exif_orientation(exif: bytes) -> int:
    """The orientation in the first directory of an EXIF block (a TIFF header and what follows it)."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return UPRIGHT
    try:
        (at,) = struct.unpack_from(order + "L", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, num_values, value, _ = struct.unpack_from(order + "HHLHH", exif, entry)
            if (tag, kind, num_values) == (ORIENTATION_TAG, SHORT, 1) and 1 <= value <= 8:
                return int(value)
    except struct.error:
        # The directory ends outside the block: what came before it counts.
        return UPRIGHT
    return UPRIGHT


def _checked(data: bytes, at: int, length: int) -> bool:
    """Whether the checksum of a PNG chunk is right."""
    stated = data[at + 8 + length : at + 12 + length]
    return zlib.crc32(data[at + 4 : at + 8 + length]).to_bytes(4, "big") == stated
