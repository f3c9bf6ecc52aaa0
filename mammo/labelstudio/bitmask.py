"""Bitmask regions of Label Studio: a PNG of the image's size, painted where the lesion is."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.dicom.decoding import supported_syntaxes
from mammo.dicom.decoding_pool import Encoded, shared_pool
from mammo.errors import InvalidRegion, UnreadableImage, UnsupportedImage
from mammo.geometry import Size

PREFIX = "data:image/png;base64,"

MAX_BASE64 = 2**26
"""Longest picture that is read, in characters."""

OPAQUE = 128
"""Alpha from which a pixel counts as painted, of 255."""


def bitmask_pixels(address: object, *, size: Size) -> npt.NDArray[np.bool_]:
    """Decode a bitmask's picture, in the process that decodes all pictures from outside.

    Args:
        address: `value.imageDataURL` of the region.

    Returns:
        H x W, true where it is painted: by its alpha channel, or without one where it is not black.

    Raises:
        InvalidRegion: no such picture, or of another size than the image.
    """
    if not isinstance(address, str) or not address.startswith(PREFIX) or len(address) > MAX_BASE64:
        raise InvalidRegion("a bitmask holds its pixels as a PNG in `imageDataURL`", code="bitmask")
    try:
        data = base64.b64decode(address[len(PREFIX) :], validate=True)
        width, height = struct.unpack(">LL", data[16:24])
    except (binascii.Error, struct.error):
        raise InvalidRegion("the picture of a bitmask is damaged", code="bitmask") from None
    if (width, height) != (size.width, size.height):
        raise InvalidRegion(
            f"a bitmask of {width} x {height} pixels on an image of {size.width} x {size.height}",
            code="bitmask",
        )
    try:
        pixels: npt.NDArray[Any] = shared_pool(supported_syntaxes()).decode(Encoded(data=data, size=size))
    except (UnreadableImage, UnsupportedImage) as error:
        raise InvalidRegion(f"the picture of a bitmask cannot be read: {error}", code="bitmask") from None
    if pixels.ndim == 2:
        return np.asarray(pixels != 0)
    if pixels.shape[2] in (2, 4):
        return np.asarray(pixels[..., -1] >= OPAQUE * (np.iinfo(pixels.dtype).max // 255))
    return np.asarray(pixels.any(axis=2))
