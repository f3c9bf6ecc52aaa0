"""What a compressed image says of itself, read from its segments without decoding.

A decoder allocates what the codestream says, whatever the DICOM header or the file's size: so it is asked first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from mammo.geometry import Size

JPEG_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
"""SOF0 to SOF15 without DHT, JPG and DAC; and SOF55 of JPEG-LS."""

PROGRESSIVE_MARKERS = (0xC2, 0xC6, 0xCA, 0xCE)
START_OF_SCAN = 0xDA

AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The marker that ends the entropy-coded data of a scan: neither a stuffed byte nor a restart."""


MAX_SEGMENTS = 20_000
"""More than any JPEG has; fill bytes count too."""


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment of a JPEG, in order, without entropy-coded data; ends where it is damaged."""
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    for _ in range(MAX_SEGMENTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            at += 2
        else:
            end = at + 2 + int(struct.unpack_from(">H", data, at + 2)[0])
            yield marker, data[at + 4 : end]
            if marker == START_OF_SCAN:
                found = AFTER_SCAN.search(data, end)
                end = found.start() if found else len(data)
            at = end


def jpeg_size(data: bytes) -> Size | None:
    """Size in the frame header of a JPEG, JPEG Lossless or JPEG-LS codestream; None when there is none."""
    for marker, body in jpeg_segments(data):
        if marker in JPEG_FRAME_MARKERS and len(body) >= 5:
            height, width = struct.unpack(">HH", body[1:5])
            return _size(width, height)
    return None


def jpeg_is_whole(data: bytes) -> bool:
    """False when scans are missing: a progressive JPEG that was cut between two of them decodes, but coarsely.

    Every component needs each of its 64 coefficients down to the last bit (ITU-T T.81, G.1.1.1).
    """
    missing: dict[int, set[int]] = {}
    progressive = False
    for marker, body in jpeg_segments(data):
        if marker in JPEG_FRAME_MARKERS:
            progressive = marker in PROGRESSIVE_MARKERS
            missing = {component: set(range(64)) for component in body[6::3]}
        elif marker == START_OF_SCAN and body:
            names = body[1 : 1 + 2 * body[0] : 2]
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]] if progressive else (0, 63, 0)
            for component in names:
                if bits & 15 == 0:
                    missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(missing) and not any(missing.values())


def jpeg2000_size(data: bytes) -> Size | None:
    """Size in the SIZ segment of a JPEG 2000 codestream, bare or in a JP2 box; None when there is none."""
    at = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if at < 0 or len(data) < at + 24:
        return None
    right, bottom, left, top = struct.unpack(">LLLL", data[at + 8 : at + 24])
    return _size(right - left, bottom - top)


def _size(width: int, height: int) -> Size | None:
    return Size(width, height) if width > 0 and height > 0 else None
