"""A PNG, JPEG, TIFF or PGM becomes a StoredImage: size and orientation from the header first, then OpenCV decodes."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mammo.dicom.codestream import jpeg_is_whole, jpeg_size
from mammo.dicom.decoding import decodable
from mammo.dicom.decoding_pool import Encoded, shared_pool
from mammo.dicom.limits import check_size
from mammo.dicom.orientation import UPRIGHT, jpeg_orientation, png_orientation, upright
from mammo.dicom.spacing import given_spacing
from mammo.dicom.stored_image import StoredImage
from mammo.dicom.tiff import tiff_header
from mammo.dicom.voi import Window
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size, Spacing

GREY_TOLERANCE = 4
"""Most that the channels of a grey image saved as colour may differ, in grey levels (JPEG rounds)."""

MAX_JPEG_PIXELS_PER_BYTE = 200
"""64 pixels of one grey cost JPEG six bits."""


@dataclass(frozen=True)
class PlainHeader:
    """What the header of a plain image says about its pixels."""

    size: Size
    """Of the pixels as the decoder gives them."""

    orientation: int = UPRIGHT
    """How the decoded pixels are still to be turned."""

    turned: bool = False
    """The decoder has turned them."""

    inverted: bool = False
    """TIFF's WhiteIsZero, where OpenCV leaves it to us."""

    grey_is_all: bool = True
    """False for a TIFF of grey and alpha, of which the decoder keeps the grey, or of numbers that name colours."""


def is_plain(data: bytes) -> bool:
    """True when the bytes begin like a PNG, JPEG, TIFF or PGM."""
    return data[:8] == b"\x89PNG\r\n\x1a\n" or data[:3] == b"\xff\xd8\xff" or data[:4] in (
        b"II*\0",
        b"MM\0*",
    ) or data[:2] in (b"P2", b"P5")  # fmt: skip


def read_plain(data: bytes, *, spacing: float | Spacing | None) -> StoredImage:
    """Read one plain image, 8 or 16 bit, grey (or colour with three equal channels), turned as browsers show it.

    Raises:
        UnreadableImage: damaged, or larger than we read; or `orientation`.
        UnsupportedImage: `not_grayscale`, `multi_frame` or `bit_depth`.
    """
    header = plain_header(data)
    found = shared_pool(decodable()).decode(Encoded(data=data, size=header.size))
    values = _grey(found)
    if values.shape != (header.size.height, header.size.width):
        raise UnreadableImage("the decoded image has another size than its header says", code="bad_geometry")
    if values.dtype not in (np.uint8, np.uint16):
        raise UnsupportedImage(f"expected 8 or 16 bit pixels, got {values.dtype}", code="bit_depth")
    if values.min() == values.max():
        raise UnreadableImage(
            "every pixel has the same value: there is nothing to see", code="constant_image"
        )
    depth = 8 * values.dtype.itemsize
    return StoredImage(
        levels=upright(values, header.orientation).astype(np.uint16),
        depth=depth,
        inverted=header.inverted,
        voi=Window(127.5, 255, "LINEAR_EXACT") if depth == 8 else None,
        spacing=given_spacing(spacing),
        turned=header.turned or header.orientation != UPRIGHT,
    )


def plain_header(data: bytes) -> PlainHeader:
    """What the header says, before anything is decoded.

    Raises:
        UnreadableImage: damaged, or larger than we read.
        UnsupportedImage: a TIFF of several pages.
    """
    try:
        if data[:4] == b"\x89PNG":
            width, height = struct.unpack(">LL", data[16:24])
            return PlainHeader(check_size(width, height), orientation=png_orientation(data))
        if data[:2] == b"\xff\xd8":
            size = jpeg_size(data)
            if size is None:
                raise UnreadableImage("the JPEG has no frame header", code="decode")
            checked = check_size(size.width, size.height)
            if checked.width * checked.height > max(MAX_JPEG_PIXELS_PER_BYTE * len(data), 2**20):
                raise UnreadableImage(
                    f"{len(data)} bytes of JPEG cannot hold {size.width} x {size.height} pixels",
                    code="bad_geometry",
                )
            if not jpeg_is_whole(data):
                raise UnreadableImage("the JPEG is damaged: it ends before all of its scans", code="decode")
            return PlainHeader(checked, orientation=jpeg_orientation(data))
        if data[:2] in (b"II", b"MM"):
            tiff = tiff_header(data)
            return PlainHeader(
                tiff.size,
                turned=tiff.turned,
                inverted=tiff.inverted,
                grey_is_all=not (tiff.alpha_is_lost or tiff.has_palette),
            )
        return _pgm_header(data)
    except (struct.error, LookupError, ValueError, StopIteration):
        raise UnreadableImage("the image's header is damaged", code="truncated") from None


def _pgm_header(data: bytes) -> PlainHeader:
    match = re.match(rb"P[25](?:\s+(?:#[^\n]*\n\s*)*)(\d{1,6})\s+(?:#[^\n]*\n\s*)*(\d{1,6})\s", data[:4096])
    if match is None:
        raise UnreadableImage("the PGM's header is damaged", code="decode")
    size = check_size(int(match[1]), int(match[2]))
    if len(data) < size.width * size.height:  # a byte a pixel is the least, in the text form too
        raise UnreadableImage("the PGM ends too early", code="truncated")
    return PlainHeader(size)


def _grey(found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """H x W out of H x W (x 3 or 4); colour is refused."""
    if found.ndim == 2:
        return found
    if found.shape[2] < 3 or found.dtype not in (np.uint8, np.uint16):
        raise UnsupportedImage(
            "expected a grey image, got an unusual number of channels", code="not_grayscale"
        )
    blue, green, red = (cv2.extractChannel(found, channel) for channel in range(3))
    pairs = ((blue, green), (green, red), (blue, red))
    if max(cv2.norm(one, other, cv2.NORM_INF) for one, other in pairs) > GREY_TOLERANCE:
        raise UnsupportedImage("expected a grey image, got colour", code="not_grayscale")
    return green
