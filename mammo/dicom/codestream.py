"""Width and height that a compressed image claims for itself, read from its header without decoding.

A decoder allocates what the codestream says, whatever the DICOM header or the file's size: so it is asked first.
"""

from __future__ import annotations

import struct

from mammo.geometry import Size

JPEG_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
"""SOF0 to SOF15 without DHT, JPG and DAC; and SOF55 of JPEG-LS."""


def jpeg_size(data: bytes) -> Size | None:
    """Size in the frame header of a JPEG, JPEG Lossless or JPEG-LS codestream; None when there is none."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in JPEG_FRAME_MARKERS:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return _size(width, height)
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            at += 2
        else:
            at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    return None


def jpeg2000_size(data: bytes) -> Size | None:
    """Size in the SIZ segment of a JPEG 2000 codestream, bare or in a JP2 box; None when there is none."""
    at = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if at < 0 or len(data) < at + 24:
        return None
    right, bottom, left, top = struct.unpack(">LLLL", data[at + 8 : at + 24])
    return _size(right - left, bottom - top)


def _size(width: int, height: int) -> Size | None:
    return Size(width, height) if width > 0 and height > 0 else None
