"""Regions that cost whoever reads them more than they look like: small streams that state large images, and noise."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from mammo.geometry import Size
from mammo.labelstudio import rle
from mammo.masks import Mask
from tests.mammo.labelstudio.drawn import region


def full_stroke(size: Size) -> list[int]:
    """The brush RLE of an image that is painted all over: 27 bits for 16,384 pixels."""
    num_values = size.width * size.height * 4
    bits = f"{num_values:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"
    bits += ("111" + "1" * 16 + "1" * 8) * -(-num_values // 65536)
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def painted(size: Size, stream: list[int] | None = None, **changes: Any) -> dict[str, Any]:
    """A brush region on an image of this size; by default one that covers it."""
    value = {"format": "rle", "rle": full_stroke(size) if stream is None else stream}
    stated = {"original_width": size.width, "original_height": size.height}
    return region("brushlabels", "mask", value, **({"id": "bomb"} | stated | changes))


def drawn(bitmap: np.ndarray[Any, Any], **changes: Any) -> dict[str, Any]:
    """A brush region with these pixels, on an image of their size."""
    size = Size(bitmap.shape[1], bitmap.shape[0])
    return painted(size, rle.encode(Mask(bitmap.astype(np.bool_), 0, 0), size=size), **changes)


def outlined(points: list[Any], size: Size, **changes: Any) -> dict[str, Any]:
    """A polygon region on an image of this size."""
    stated = {"original_width": size.width, "original_height": size.height}
    return region(
        "polygonlabels", "outline", {"points": points, "closed": True}, **({"id": "p"} | stated | changes)
    )


def opaque_png(size: Size) -> str:
    """A PNG data URL of an image that is opaque all over, a thousandth of its size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = size.width.to_bytes(4, "big") + size.height.to_bytes(4, "big") + bytes([8, 6, 0, 0, 0])
    pixels = zlib.compress((b"\0" + b"\xff" * (4 * size.width)) * size.height, 9)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()
