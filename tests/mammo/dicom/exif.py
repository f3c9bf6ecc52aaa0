"""Pictures whose EXIF says how they are to be turned, in every form that files have, damaged ones too."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

STORED: Picture = np.zeros((48, 32), np.uint8)
"""Four quarters of four greys, so that all eight ways to turn it differ."""
STORED[:16, :16], STORED[:16, 16:], STORED[16:, :16] = 255, 170, 85

TURNED = {
    1: STORED, 2: STORED[:, ::-1], 3: np.rot90(STORED, 2), 4: STORED[::-1], 5: STORED.T, 6: np.rot90(STORED, -1),
    7: np.rot90(STORED.T, 2), 8: np.rot90(STORED),
}  # fmt: skip
"""What is seen of `STORED`, by orientation (TIFF 6.0, tag 274)."""

Entry = tuple[int, int, int, int]
"""Tag, type, count, value."""


def seen_as(picture: npt.NDArray[Any]) -> int | None:
    """The orientation that shows `STORED` so; None for none."""
    fits = (
        orientation
        for orientation, turned in TURNED.items()
        if turned.shape == picture.shape and np.abs(turned.astype(float) - picture).mean() < 6
    )
    return next(fits, None)


def exif(*entries: Entry, order: str = "<", magic: int = 42, at: int = 8) -> bytes:
    """An EXIF block: a TIFF header and one directory."""
    block = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", magic, at) + b"\0" * (at - 8)
    block += struct.pack(order + "H", len(entries))
    for tag, kind, count, value in entries:
        field = struct.pack(order + ("L" if kind == 4 else "H"), value).ljust(4, b"\0")
        block += struct.pack(order + "HHL", tag, kind, count) + field
    return block + b"\0\0\0\0"


def turn(orientation: int, **options: Any) -> bytes:
    return exif((274, 3, 1, orientation), **options)


def app1(block: bytes, *, name: bytes = b"Exif\0\0") -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(name) + len(block) + 2) + name + block


def jpeg(*segments: bytes, before: bytes = b"") -> bytes:
    """`STORED` as JPEG with segments at its beginning, or before its first marker `before`."""
    data = cv2.imencode(".jpg", STORED, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    at = data.index(before) if before else 2
    return data[:at] + b"".join(segments) + data[at:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png(*chunks: bytes, late: bool = False) -> bytes:
    """`STORED` as PNG with chunks before its pixels, or behind them."""
    data = cv2.imencode(".png", STORED)[1].tobytes()
    at = len(data) - 12 if late else 33
    return data[:at] + b"".join(chunks) + data[at:]


SIX = turn(6)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)

FILES: dict[str, bytes] = {
    **{f"JPEG {value}": jpeg(app1(turn(value))) for value in range(10)},
    **{f"JPEG big endian {value}": jpeg(app1(turn(value, order=">"))) for value in (2, 5, 6)},
    **{f"PNG {value}": png(chunk(b"eXIf", turn(value))) for value in range(10)},
    "PNG big endian": png(chunk(b"eXIf", turn(7, order=">"))),
    "no EXIF": jpeg(),
    "two blocks": jpeg(app1(SIX), app1(turn(3))),
    "second block only": jpeg(app1(exif((271, 3, 1, 3))), app1(turn(3))),
    "block of nothing first": jpeg(app1(b"xx"), app1(turn(3))),
    "LONG": jpeg(app1(exif((274, 4, 1, 6)))),
    "two values": jpeg(app1(exif((274, 3, 2, 6)))),
    "no value": jpeg(app1(exif((274, 3, 0, 6)))),
    "wrong magic": jpeg(app1(turn(6, magic=43))),
    "directory elsewhere": jpeg(app1(turn(6, at=10))),
    "directory outside": jpeg(app1(SIX[:4] + struct.pack("<L", 4000) + SIX[8:])),
    "thumbnail's only": jpeg(app1(exif((271, 3, 1, 1))[:-4] + struct.pack("<L", 26) + SIX[8:])),
    "other fill byte": jpeg(app1(SIX, name=b"Exif\0\xff")),
    "small letters": jpeg(app1(SIX, name=b"exif\0\0")),
    "before the scan": jpeg(app1(SIX), before=b"\xff\xda"),
    "behind JFIF": jpeg(app1(SIX), before=b"\xff\xdb"),
    "twice in a directory": jpeg(app1(exif((274, 3, 1, 6), (274, 3, 1, 3)))),
    "first out of range": jpeg(app1(exif((274, 3, 1, 9), (274, 3, 1, 3)))),
    "cut in the entry": jpeg(app1(SIX[:14])),
    "cut in the value": jpeg(app1(SIX[:-7])),
    "cut behind the entry": jpeg(app1(SIX[:-4])),
    "too many entries": jpeg(app1(SIX[:8] + b"\x20\0" + SIX[10:])),
    "not in order": jpeg(app1(exif((300, 3, 1, 1), (274, 3, 1, 6)))),
    "XMP only": jpeg(app1(XMP, name=b"http://ns.adobe.com/xap/1.0/\0")),
    "fill bytes": jpeg(b"\xff\xff" + app1(SIX)),
}
"""Files that a browser shows."""

CONTRADICTORY = {
    "behind the pixels": png(chunk(b"eXIf", SIX), late=True),
    "wrong checksum": png(chunk(b"eXIf", SIX)[:-1] + b"x"),
    "with the prefix of JPEG": png(chunk(b"eXIf", b"Exif\0\0" + SIX)),
    "two that differ": png(chunk(b"eXIf", SIX), chunk(b"eXIf", turn(3))),
}
"""PNG files that browsers and other programs turn differently."""
