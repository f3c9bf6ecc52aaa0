"""Headers of compressed images, parsed from their segments without decoding.

A decoder allocates memory for the size in the codestream, whatever the DICOM header or the file size say, so that size
is checked before decoding, and so are the bits and the components.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mammo.geometry import Size

JPEG_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
"""Start of frame: SOF0 to SOF15 (without DHT, JPG and DAC), and SOF55 of JPEG-LS."""

PROGRESSIVE_MARKERS = (0xC2, 0xC6, 0xCA, 0xCE)
START_OF_SCAN = 0xDA

AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The marker that ends the entropy-coded data of a scan; stuffed bytes and restart markers do not."""

MAX_SEGMENTS = 20_000
"""Maximum number of segments and fill bytes that are parsed; more than any JPEG has."""


PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by colour type (W3C PNG, 11.2.2)."""

MAX_DEFLATE = 1032
"""Maximum ratio of inflated to deflated bytes: one bit encodes at most 258 bytes, after a match of two bits."""

MAX_CHUNKS = 2**18
"""Maximum number of chunks of a PNG that are parsed; the largest images have about ten thousand."""


@dataclass(frozen=True)
class Frame:
    """What the header of a codestream says of its pixels."""

    size: Size
    precision: int
    """Bits per sample, of the first component."""

    components: int


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of each segment of a JPEG, without entropy-coded data; stop at the first damaged one."""
    offset = 2 if data[:2] == b"\xff\xd8" else len(data)
    for _ in range(MAX_SEGMENTS):
        if offset + 4 > len(data) or data[offset] != 0xFF:
            return
        marker = data[offset + 1]
        if marker == 0xFF:  # fill byte
            offset += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            offset += 2
        else:
            end = offset + 2 + int(struct.unpack_from(">H", data, offset + 2)[0])
            yield marker, data[offset + 4 : end]
            if marker == START_OF_SCAN:
                match = AFTER_SCAN.search(data, end)
                end = match.start() if match else len(data)
            offset = end


def jpeg_frame(data: bytes) -> Frame | None:
    """The frame header of a JPEG, JPEG Lossless or JPEG-LS codestream; None without such a header."""
    for marker, body in jpeg_segments(data):
        if marker in JPEG_FRAME_MARKERS and len(body) >= 6:
            precision, height, width, components = struct.unpack(">BHHB", body[:6])
            return _frame(width, height, precision, components)
    return None


def jpeg_is_whole(data: bytes) -> bool:
    """Whether all scans are present. A progressive JPEG truncated between two scans decodes, but coarsely.

    Every component needs each of its 64 coefficients down to the last bit (ITU-T T.81, G.1.1.1).
    """
    missing: dict[int, set[int]] = {}
    progressive = False
    for marker, body in jpeg_segments(data):
        if marker in JPEG_FRAME_MARKERS:
            progressive = marker in PROGRESSIVE_MARKERS
            missing = {component: set(range(64)) for component in body[6::3]}
        elif marker == START_OF_SCAN and body:
            components = body[1 : 1 + 2 * body[0] : 2]
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]] if progressive else (0, 63, 0)
            for component in components:
                if bits & 15 == 0:
                    missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(missing) and not any(missing.values())


def jpeg2000_frame(data: bytes) -> Frame | None:
    """The SIZ segment of a JPEG 2000 codestream, bare or in a JP2 box; None without that segment."""
    offset = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if offset < 0 or len(data) < offset + 43:
        return None
    right, bottom, left, top = struct.unpack(">LLLL", data[offset + 8 : offset + 24])
    components, depth = struct.unpack(">HB", data[offset + 40 : offset + 43])
    return _frame(right - left, bottom - top, (depth & 0x7F) + 1, components)  # the highest bit means signed


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length of each chunk of a PNG, also of one that the end of the data cuts."""
    offset = 8
    for _ in range(MAX_CHUNKS):
        if offset + 12 > len(data):
            return
        length, kind = struct.unpack_from(">L4s", data, offset)
        yield kind, offset, length
        offset += 12 + length


def png_can_be_whole(data: bytes, size: Size) -> bool:
    """Whether the compressed bytes of a PNG can hold pixels of its size; raises LookupError: unknown colour type."""
    bits = data[24] * PNG_CHANNELS[data[25]]
    packed = sum(
        min(length, len(data) - offset) for kind, offset, length in png_chunks(data) if kind == b"IDAT"
    )
    return size.width * size.height * bits <= 8 * MAX_DEFLATE * packed


def _frame(width: int, height: int, precision: int, components: int) -> Frame | None:
    return Frame(Size(width, height), precision, components) if width > 0 and height > 0 else None
