"""Reads the first directory of a TIFF (TIFF 6.0, section 2), and verifies that its strips can hold the image."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from mammo.dicom.limits import check_size
from mammo.dicom.orientation import ORIENTATION_TAG, SIDEWAYS
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
DATA_TAGS = ((273, 279), (324, 325))
"""Tags of the offsets and byte counts, of strips and of tiles."""

TAGS = {WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ORIENTATION_TAG, *DATA_TAGS[0], *DATA_TAGS[1]}
"""The tags that are read."""

DEFLATE = (8, 32946)
LZW, JPEG, PACK_BITS = 5, 7, 32773
MAX_RATIO = {1: 1, LZW: 1500, JPEG: 200, 8: 1032, 32946: 1032, PACK_BITS: 64}
"""Maximum ratio of pixels to compressed bytes by compression; of LZW, with its longest codes and strings."""

GREY_OR_RGB = (0, 1, 2, 3, 6)
"""Photometric interpretations that may be grey: WhiteIsZero, BlackIsZero, RGB, palette, YCbCr."""

TYPE_LETTERS = {1: "B", 3: "H", 4: "L"}
"""TIFF data type -> format letter of `struct`: BYTE, SHORT, LONG."""

MAX_VALUES = 2**20
"""Maximum number of values of a tag."""

CHUNK = 2**20
"""Bytes that are inflated at once."""

MAX_CHANNELS, MAX_SAMPLE, PADDING = 4, 4, 2**24
"""Limits of the inflated size: samples per pixel, bytes per sample, and bytes of tiles beyond the image."""


@dataclass(frozen=True)
class TiffHeader:
    """Pixel description in the first directory of a TIFF."""

    size: Size
    """Of the oriented image."""

    turned: bool
    """Whether the decoder applies an orientation."""

    inverted: bool
    """WhiteIsZero, where OpenCV does not apply it."""

    has_dropped_alpha: bool
    """Grey and alpha, of which OpenCV returns the grey channel only."""

    has_palette: bool
    """Values are indices into a colour table."""


def tiff_header(data: bytes) -> TiffHeader:
    """Read the directory of a single-page classic TIFF; verify the checksums of deflated strips.

    Raises:
        UnreadableImage: `bad_geometry`, `too_large`, or `decode` for a damaged strip.
        UnsupportedImage: `multi_frame`, `not_grayscale` or `transfer_syntax`.
        struct.error, KeyError: the file is truncated or lacks a required tag.
    """
    order = "<" if data[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(order + "L", data, 4)
    (count,) = struct.unpack_from(order + "H", data, offset)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, type_, num_values = struct.unpack_from(order + "HHL", data, entry)
        letter = TYPE_LETTERS.get(type_)
        if letter and tag in TAGS and tag not in tags and 0 < num_values <= MAX_VALUES:
            form = f"{order}{num_values}{letter}"
            is_inline = struct.calcsize(form) <= 4
            position = entry + 8 if is_inline else struct.unpack_from(order + "L", data, entry + 8)[0]
            tags[tag] = struct.unpack_from(form, data, position)
    if struct.unpack_from(order + "L", data, offset + 2 + 12 * count)[0]:
        raise UnsupportedImage(
            "expected a single page, got a TIFF with several; save each page as a file", code="multi_frame"
        )
    size = check_size(tags[WIDTH][0], tags[LENGTH][0])
    bits = tags.get(BITS, (1,))[0]
    _check_capacity(data, tags, size)
    if tags.get(COMPRESSION, (1,))[0] in DEFLATE:
        samples = min(len(tags.get(BITS, (1,))), MAX_CHANNELS)
        _check_strips(data, tags, max_bytes=MAX_SAMPLE * samples * size.width * size.height + PADDING)
    orientation = tags.get(ORIENTATION_TAG, (1,))[0]
    if orientation in SIDEWAYS:
        size = Size(size.height, size.width)
    # OpenCV inverts WhiteIsZero for 8 bits, but not for 16.
    return TiffHeader(
        size,
        turned=2 <= orientation <= 8,
        inverted=tags.get(PHOTOMETRIC) == (0,) and bits == 16,
        has_dropped_alpha=tags.get(SAMPLES) == (2,),
        has_palette=tags.get(PHOTOMETRIC) == (3,),
    )


def _check_capacity(data: bytes, tags: dict[int, tuple[int, ...]], size: Size) -> None:
    """Refuse a TIFF whose strips or tiles cannot hold its pixels, before memory is allocated for these."""
    compression, photometric = tags.get(COMPRESSION, (1,))[0], tags.get(PHOTOMETRIC, (1,))[0]
    if photometric not in GREY_OR_RGB:
        raise UnsupportedImage("expected a grey TIFF, got CMYK or another colour space", code="not_grayscale")
    if compression not in MAX_RATIO:
        raise UnsupportedImage(
            f"no decoder for TIFF compression {compression}; save it without compression",
            code="transfer_syntax",
        )
    offsets, counts = _places(tags)
    stored = sum(
        max(0, min(length, len(data) - offset)) for offset, length in zip(offsets, counts, strict=False)
    )
    bits = tags.get(BITS, (1,))[0] * tags.get(SAMPLES, (1,))[0]
    row = (size.width * bits + 7) // 8
    if row * size.height > MAX_RATIO[compression] * min(stored, len(data)):  # strips may overlap
        raise UnreadableImage(
            f"{stored} bytes of TIFF strips cannot hold {size.width} x {size.height} pixels",
            code="bad_geometry",
        )


def _places(tags: dict[int, tuple[int, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the offsets and byte counts of the strips or tiles."""
    return next((tags[first], tags[second]) for first, second in DATA_TAGS if first in tags)


def _check_strips(data: bytes, tags: dict[int, tuple[int, ...]], *, max_bytes: int) -> None:
    """Verify the checksum of every strip; libtiff stops at a full strip without checking it."""
    offsets, counts = _places(tags)
    remaining = max_bytes
    for offset, length in zip(offsets, counts, strict=False):
        stream, pending = zlib.decompressobj(), data[offset : offset + length]
        try:
            while pending and not stream.eof and remaining >= 0:
                remaining -= len(stream.decompress(pending, CHUNK))
                pending = stream.unconsumed_tail
        except zlib.error:
            remaining = -1
        if remaining < 0 or not stream.eof:
            raise UnreadableImage("a strip of the TIFF is damaged", code="decode")
