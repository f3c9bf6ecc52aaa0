"""The mask in a picture that another tool wrote: numbers, colours, a palette, or a lesion in the alpha channel.

"No cluster" is only what is 0 everywhere. Whatever else cannot be told for certain is refused.
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
"""Of the image. What covers more is no cluster, but the breast, or a mask that is turned round."""

PNG = b"\x89PNG\r\n\x1a\n"
PALETTE = 3
"""PNG's colour type of numbers that name colours."""

Painted = npt.NDArray[np.bool_]


def read_mask(file: Path, *, size: Size) -> Painted:
    """H x W, True where the picture has a lesion.

    Args:
        size: of the image, which the mask must have.

    Raises:
        ValueError: lossy, of another size, wholly covered, or it can be read in two ways.
        UnreadableImage: no picture.
    """
    data = read_bytes(file, max_bytes=MAX_BYTES)
    if data[:3] == b"\xff\xd8\xff":
        raise ValueError("a JPEG is no mask: its edges are smeared; save it as PNG")
    values = stored_values(data)
    if values.shape[:2] != (size.height, size.width):
        raise ValueError("the mask has another size than the image")
    painted = _painted(values)
    if numbers := _as_numbers(data):
        painted = _agreeing(painted, _coloured(stored_values(numbers)))
    share = np.count_nonzero(painted) / painted.size
    if share == 1:
        raise ValueError("the mask covers the whole image; 0 is where there is no cluster")
    if share > MAX_SHARE:
        raise ValueError(
            f"the mask covers {share:.0%} of the image; 0 is where there is no cluster: is it turned round?"
        )
    return painted


def _painted(values: npt.NDArray[Any]) -> Painted:
    coloured = _coloured(values)
    if values.ndim == 2 or values.shape[2] == 3:
        return coloured
    alpha = values[..., 3]
    if not alpha.any():
        raise ValueError("the mask is wholly transparent")
    if alpha.min() == alpha.max():
        return coloured
    opaque: Painted = alpha > 0
    one_colour = not (values[..., :3] != values[:1, :1, :3]).any()
    if one_colour:
        return opaque
    if np.array_equal(coloured, opaque):
        return coloured
    raise ValueError(
        "the mask's colours and its transparency say different things; save it as grey, with 0 for none"
    )


def _coloured(values: npt.NDArray[Any]) -> Painted:
    """Where a picture is not black."""
    lit: Painted = np.asarray(values if values.ndim == 2 else values[..., :3].max(axis=-1)) > 0
    return lit


def _agreeing(by_colour: Painted, by_number: Painted) -> Painted:
    """What a palette's numbers and its colours say alike. Some tools put the background elsewhere than at 0."""
    if not np.array_equal(by_colour, by_number):
        raise ValueError(
            "the mask's palette gives 0 a colour, or black to another number; save it as grey, with 0 for none"
        )
    return by_number


def _as_numbers(data: bytes) -> bytes | None:
    """A PNG whose palette is the grey ramp, so that its numbers can be seen; None for what has no palette."""
    if data[:8] != PNG or data[25:26] != bytes([PALETTE]):
        return None
    out, at = [PNG], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">L", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"PLTE":
            body = bytes(number for each in range(len(body) // 3) for number in (each, each, each))
        if kind != b"tRNS":
            out.append(
                struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
            )
        at += 12 + length
    return b"".join(out)
