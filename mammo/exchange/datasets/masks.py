"""Mask images of other tools: grey values, colours, a palette, or the lesion in the alpha channel.

A mask without a lesion is 0 everywhere. An ambiguous mask is refused.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.dicom.stored_values import stored_values
from mammo.geometry import Size

MAX_SHARE = 0.5
"""Largest share of the image that a mask covers; more is the breast, or an inverted mask."""

PNG = b"\x89PNG\r\n\x1a\n"
"""Signature of a PNG file."""

PALETTE = 3
"""PNG's colour type for indexed colours."""

Bitmap = npt.NDArray[np.bool_]


def read_mask(file: Path, *, size: Size) -> Bitmap:
    """Return H x W, bool, set where the mask image has a lesion.

    Args:
        file: the mask image.
        size: of the mammogram, which the mask image must have.

    Raises:
        ValueError: the mask image is lossy, ambiguous, of another size, or covers too much of the image.
        UnreadableImage: the file is not an image.
    """
    data = read_bytes(file, max_bytes=MAX_BYTES)
    if data[:3] == b"\xff\xd8\xff":
        raise ValueError("its mask is a JPEG, which is lossy; save it as PNG")
    values = stored_values(data)
    if values.shape[:2] != (size.height, size.width):
        raise ValueError("its mask has another size than the image")
    bitmap = _lesion(values)
    if grey := _with_grey_palette(data):
        bitmap = _agreeing(bitmap, _coloured(stored_values(grey)))
    share = np.count_nonzero(bitmap) / bitmap.size
    if share == 1:
        raise ValueError("its mask covers the whole image; pixels without a cluster must be 0")
    if share > MAX_SHARE:
        raise ValueError(
            f"its mask covers {share:.0%} of the image; pixels without a cluster must be 0, so it may be inverted"
        )
    return bitmap


def _lesion(values: npt.NDArray[Any]) -> Bitmap:
    coloured = _coloured(values)
    if values.ndim == 2 or values.shape[2] == 3:
        return coloured
    alpha = values[..., 3]
    if not alpha.any():
        raise ValueError("its mask is transparent everywhere; save it as grey, with 0 for no cluster")
    if alpha.min() == alpha.max():
        return coloured
    opaque: Bitmap = alpha > 0
    one_colour = not (values[..., :3] != values[:1, :1, :3]).any()
    if one_colour:
        return opaque
    if np.array_equal(coloured, opaque):
        return coloured
    raise ValueError(
        "the colours and the transparency of its mask mean different lesions; save it as grey, with 0 for no cluster"
    )


def _coloured(values: npt.NDArray[Any]) -> Bitmap:
    """Return the pixels that are not black."""
    coloured: Bitmap = np.asarray(values if values.ndim == 2 else values[..., :3].max(axis=-1)) > 0
    return coloured


def _agreeing(by_colour: Bitmap, by_index: Bitmap) -> Bitmap:
    """Return the lesion in an image with a palette. Some tools give the background another index than 0."""
    if not np.array_equal(by_colour, by_index):
        raise ValueError(
            "in the palette of its mask, 0 is not black or black is not 0; save it as grey, with 0 for no cluster"
        )
    return by_index


def _with_grey_palette(data: bytes) -> bytes | None:
    """Return a PNG with its palette replaced by grey values equal to the indices; None without a palette."""
    if data[:8] != PNG or data[25:26] != bytes([PALETTE]):
        return None
    chunks, offset = [PNG], 8
    while offset + 12 <= len(data):
        (length,) = struct.unpack(">L", data[offset : offset + 4])
        kind, body = data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]
        if kind == b"PLTE":
            body = bytes(grey for index in range(len(body) // 3) for grey in (index, index, index))
        if kind != b"tRNS":
            checksum = struct.pack(">L", zlib.crc32(kind + body))
            chunks.append(struct.pack(">L", len(body)) + kind + body + checksum)
        offset += 12 + length
    return b"".join(chunks)
