"""Bitmask regions of Label Studio: a PNG of the image's size, opaque where the lesion is."""

from __future__ import annotations

import base64
import binascii
import struct

import numpy as np
import numpy.typing as npt

from mammo.dicom.decoding import supported_syntaxes
from mammo.dicom.decoding_pool import Encoded, shared_pool
from mammo.errors import InvalidRegion, UnreadableImage, UnsupportedImage
from mammo.geometry import Size

PREFIX = "data:image/png;base64,"

MAX_BASE64 = 2**26
"""Maximum length of a base64-encoded PNG, in characters."""

OPAQUE = 128
"""Least alpha (of 255) of a set pixel."""


def bitmask_pixels(address: object, *, size: Size) -> npt.NDArray[np.bool_]:
    """Decode the PNG of a bitmask region in the sandboxed decoder process.

    Args:
        address: `value.imageDataURL` of the region.
        size: of the image.

    Returns:
        H x W, bool: set where the alpha channel is opaque, or without an alpha channel where the PNG is not black.

    Raises:
        InvalidRegion: the PNG is missing, damaged, or of another size than the image (code `bitmask`).
    """
    if not isinstance(address, str) or not address.startswith(PREFIX) or len(address) > MAX_BASE64:
        raise InvalidRegion(
            "expected a bitmask region with a PNG as data URL in `imageDataURL`; draw it again",
            code="bitmask",
        )
    try:
        data = base64.b64decode(address[len(PREFIX) :], validate=True)
        width, height = struct.unpack(">LL", data[16:24])
    except (binascii.Error, struct.error):
        raise InvalidRegion(
            "the PNG of a bitmask is damaged; draw the region again", code="bitmask"
        ) from None
    if (width, height) != (size.width, size.height):
        raise InvalidRegion(
            f"expected a bitmask of the image's {size.width} x {size.height} pixels, got {width} x {height}; draw it "
            "again",
            code="bitmask",
        )
    try:
        encoded = Encoded(data=data, size=size, options={"least_alpha": OPAQUE})
        pixels = shared_pool(supported_syntaxes()).decode(encoded)
    except (UnreadableImage, UnsupportedImage) as error:
        raise InvalidRegion(f"the PNG of a bitmask cannot be read: {error}", code="bitmask") from None
    return np.asarray(pixels != 0)
