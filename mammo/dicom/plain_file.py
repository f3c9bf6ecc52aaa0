"""Reads a PNG, JPEG, TIFF or PGM into a StoredImage; its header is checked before OpenCV decodes it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mammo.dicom.codestream import jpeg_frame, jpeg_is_whole, png_can_be_whole
from mammo.dicom.decoding import supported_syntaxes
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
"""Maximum difference between the channels of a grey image saved as colour, in grey levels (JPEG rounds)."""

MAX_JPEG_PIXELS_PER_BYTE = 200
"""JPEG needs at least six bits for 64 pixels of uniform grey."""


_BLANK = rb"\s+(?:#[^\n]*\n\s*)*"
PGM = re.compile(rb"P([25])%b(\d{1,6})%b(\d{1,6})%b(\d{1,5})\s" % (_BLANK, _BLANK, _BLANK))
"""Header of a PGM: format, width, height and highest value."""


@dataclass(frozen=True)
class PlainHeader:
    """Pixel description in the header of a plain image."""

    size: Size
    """Of the decoded pixels."""

    orientation: int = UPRIGHT
    """EXIF orientation that is still to be applied to the decoded pixels."""

    turned: bool = False
    """Whether the decoder applies an orientation."""

    inverted: bool = False
    """TIFF's WhiteIsZero, where OpenCV does not apply it."""

    has_alpha_or_palette: bool = False
    """A TIFF of grey and alpha, whose alpha the decoder drops, or one with a palette."""


def not_an_image() -> UnreadableImage:
    """Return the error of a file that is neither DICOM nor a plain image."""
    return UnreadableImage(
        "expected a DICOM, PNG, JPEG, TIFF or PGM file, got something else", code="not_an_image"
    )


def is_plain(data: bytes) -> bool:
    """Whether the bytes begin like a PNG, JPEG, TIFF or PGM."""
    return data[:8] == b"\x89PNG\r\n\x1a\n" or data[:3] == b"\xff\xd8\xff" or data[:4] in (
        b"II*\0",
        b"MM\0*",
    ) or data[:2] in (b"P2", b"P5")  # fmt: skip


def read_plain(data: bytes, *, spacing: float | Spacing | None) -> StoredImage:
    """Read one plain image: 8 or 16 bits, grey or with three equal channels, oriented as browsers display it.

    Raises:
        UnreadableImage: the file is damaged, exceeds a limit, or has an ambiguous `orientation`.
        UnsupportedImage: `not_grayscale`, `multi_frame` or `bit_depth`.
    """
    header = plain_header(data)
    values = _grey(shared_pool(supported_syntaxes()).decode(Encoded(data=data, size=header.size)))
    if values.shape != (header.size.height, header.size.width):
        raise UnreadableImage("the size of the decoded image differs from its header", code="bad_geometry")
    if values.dtype not in (np.uint8, np.uint16):
        raise UnsupportedImage(f"expected pixels of 8 or 16 bits, got {values.dtype}", code="bit_depth")
    if values.min() == values.max():
        raise UnreadableImage("every pixel has the same value: the image is empty", code="constant_image")
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
    """Parse the header of a plain image, before anything is decoded.

    Raises:
        UnreadableImage: the header is damaged, or the size exceeds a limit.
        UnsupportedImage: a TIFF with several pages (`multi_frame`).
    """
    try:
        if data[:4] == b"\x89PNG":
            return _png_header(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg_header(data)
        if data[:2] in (b"II", b"MM"):
            tiff = tiff_header(data)
            return PlainHeader(
                tiff.size,
                turned=tiff.turned,
                inverted=tiff.inverted,
                has_alpha_or_palette=tiff.has_dropped_alpha or tiff.has_palette,
            )
        return _pgm_header(data)
    except (struct.error, LookupError, ValueError, StopIteration):
        raise UnreadableImage("the header of the image is damaged", code="truncated") from None


def _png_header(data: bytes) -> PlainHeader:
    size = check_size(*struct.unpack(">LL", data[16:24]))
    if not png_can_be_whole(data, size):
        raise UnreadableImage(
            f"{len(data)} bytes of PNG cannot hold {size.width} x {size.height} pixels", code="bad_geometry"
        )
    return PlainHeader(size, orientation=png_orientation(data))


def _jpeg_header(data: bytes) -> PlainHeader:
    frame = jpeg_frame(data)
    if frame is None:
        raise UnreadableImage("the JPEG has no frame header", code="decode")
    checked = check_size(frame.size.width, frame.size.height)
    if frame.components not in (1, 3):
        raise UnsupportedImage(
            f"expected a grey image, got a JPEG with {frame.components} components, such as CMYK",
            code="not_grayscale",
        )
    if frame.precision != 8:
        raise UnsupportedImage(
            f"expected a JPEG of 8 bits, got {frame.precision}; save it as PNG", code="bit_depth"
        )
    if checked.width * checked.height > max(MAX_JPEG_PIXELS_PER_BYTE * len(data), 2**20):
        raise UnreadableImage(
            f"{len(data)} bytes of JPEG cannot encode {checked.width} x {checked.height} pixels",
            code="bad_geometry",
        )
    if not jpeg_is_whole(data):
        raise UnreadableImage("the JPEG is damaged: scans are missing at its end", code="decode")
    return PlainHeader(checked, orientation=jpeg_orientation(data))


def _pgm_header(data: bytes) -> PlainHeader:
    match = PGM.match(data[:4096])
    if match is None:
        raise UnreadableImage("the header of the PGM is damaged", code="decode")
    size = check_size(int(match[2]), int(match[3]))
    is_text, is_wide = match[1] == b"2", int(match[4]) > 255
    # In the text format a pixel is at least a digit and a separator, but for the last one.
    if len(data) - match.end() < size.width * size.height * (2 if is_text or is_wide else 1) - is_text:
        raise UnreadableImage("the PGM ends too early", code="truncated")
    return PlainHeader(size)


def _grey(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """H x W, or H x W x 3 or 4 with equal colour channels -> H x W; colour is refused."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] < 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise UnsupportedImage(
            f"expected a grey image, got {pixels.shape[2]} channels of {pixels.dtype}", code="not_grayscale"
        )
    blue, green, red = (cv2.extractChannel(pixels, channel) for channel in range(3))
    pairs = ((blue, green), (green, red), (blue, red))
    if max(cv2.norm(one, other, cv2.NORM_INF) for one, other in pairs) > GREY_TOLERANCE:
        raise UnsupportedImage("expected a grey image, got colour", code="not_grayscale")
    return green
