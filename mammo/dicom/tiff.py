"""The first directory of a TIFF (TIFF 6.0, section 2): what it says of the pixels, and whether its strips are whole."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from mammo.dicom.limits import check_size
from mammo.dicom.orientation import ORIENTATION_TAG, SIDEWAYS
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
PLACES = ((273, 279), (324, 325))
"""Tags of the offsets and byte counts: of strips, and of tiles."""

READ = {WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ORIENTATION_TAG, *PLACES[0], *PLACES[1]}
DEFLATE = (8, 32946)
LETTERS = {1: "B", 3: "H", 4: "L"}
MAX_PIECES = 2**20
PIECE = 2**20
"""Bytes that are inflated at once."""

MAX_CHANNELS, MAX_SAMPLE, PADDING = 4, 4, 2**24
"""Most that strips may inflate to: samples of a pixel, bytes of a sample, and what tiles have beyond the image."""


@dataclass(frozen=True)
class TiffHeader:
    """What the directory says."""

    size: Size
    """As the image is to be looked at."""

    turned: bool
    """The decoder turns it as its tag says."""

    inverted: bool
    """WhiteIsZero, where OpenCV leaves it to us."""

    alpha_is_lost: bool
    """Grey and alpha: OpenCV hands over the grey alone."""

    has_palette: bool
    """Numbers that name colours."""


def tiff_header(data: bytes) -> TiffHeader:
    """Read the directory of a classic TIFF of one image; deflated strips are checked against their checksums.

    Raises:
        UnreadableImage: `bad_geometry`, `too_large`, or `decode` for a strip that is damaged.
        UnsupportedImage: `multi_frame`.
        struct.error, KeyError: it ends too early, or lacks what it needs.
    """
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "L", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, num_values = struct.unpack_from(order + "HHL", data, entry)
        letter = LETTERS.get(kind)
        if letter and tag in READ and tag not in tags and 0 < num_values <= MAX_PIECES:
            form = f"{order}{num_values}{letter}"
            inline = struct.calcsize(form) <= 4
            place = entry + 8 if inline else struct.unpack_from(order + "L", data, entry + 8)[0]
            tags[tag] = struct.unpack_from(form, data, place)
    if struct.unpack_from(order + "L", data, at + 2 + 12 * count)[0]:
        raise UnsupportedImage("expected a single image, got a TIFF of several pages", code="multi_frame")
    size = check_size(tags[WIDTH][0], tags[LENGTH][0])
    bits = tags.get(BITS, (1,))[0]
    if tags.get(COMPRESSION, (1,))[0] in DEFLATE:
        samples = min(len(tags.get(BITS, (1,))), MAX_CHANNELS)
        _check_strips(data, tags, most=MAX_SAMPLE * samples * size.width * size.height + PADDING)
    orientation = tags.get(ORIENTATION_TAG, (1,))[0]
    if orientation in SIDEWAYS:
        size = Size(size.height, size.width)
    # OpenCV turns WhiteIsZero round itself for 8 bits, and not for 16.
    return TiffHeader(
        size,
        turned=2 <= orientation <= 8,
        inverted=tags.get(PHOTOMETRIC) == (0,) and bits == 16,
        alpha_is_lost=tags.get(SAMPLES) == (2,),
        has_palette=tags.get(PHOTOMETRIC) == (3,),
    )


def _check_strips(data: bytes, tags: dict[int, tuple[int, ...]], *, most: int) -> None:
    """libtiff stops when a strip is full and never looks at its checksum."""
    offsets, counts = next((tags[one], tags[other]) for one, other in PLACES if one in tags)
    for offset, length in zip(offsets, counts, strict=False):
        stream, waiting = zlib.decompressobj(), data[offset : offset + length]
        try:
            while waiting and not stream.eof and most >= 0:
                most -= len(stream.decompress(waiting, PIECE))
                waiting = stream.unconsumed_tail
        except zlib.error:
            most = -1
        if most < 0 or not stream.eof:
            raise UnreadableImage("a strip of the TIFF is damaged", code="decode")
