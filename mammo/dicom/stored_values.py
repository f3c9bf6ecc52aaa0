"""Stored values: the numbers or colours in a file, without a meaning; what masks are read by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.dicom.dataset import is_dicom, open_dataset
from mammo.dicom.decoding import decodable, decode
from mammo.dicom.decoding_pool import Encoded, shared_pool
from mammo.dicom.limits import MAX_BYTES
from mammo.dicom.orientation import UPRIGHT
from mammo.dicom.pixel_format import pixel_format
from mammo.dicom.plain_file import is_plain, plain_header
from mammo.errors import UnreadableImage, UnsupportedImage


def stored_values(data: bytes, *, max_bytes: int = MAX_BYTES) -> npt.NDArray[Any]:
    """Every pixel of a DICOM file with one grey value a pixel, or of a PNG, TIFF, PGM or JPEG.

    Returns:
        H x W, or H x W x 3 or 4 (blue, green, red, alpha), unsigned; 0 is black in DICOM (signed zero, and the
        white of MONOCHROME1), and what the file says elsewhere.

    Raises:
        UnreadableImage, UnsupportedImage: as `read_mammogram`, but for a picture of one value, which is one here.
    """
    if is_dicom(data):
        dataset = open_dataset(data, max_bytes=max_bytes)
        form = pixel_format(dataset)
        levels = decode(dataset, form).astype(np.int64)
        zero = 2 ** (form.bits_stored - 1) if form.signed else 2**form.bits_stored - 1 if form.inverted else 0
        return np.abs(levels - zero).astype(np.uint32)
    if not is_plain(data):
        raise UnreadableImage(
            "expected a DICOM, PNG, JPEG, TIFF or PGM file, got something else", code="not_an_image"
        )
    header = plain_header(data)
    if header.orientation != UPRIGHT or header.turned:
        raise UnsupportedImage(
            "a mask that is to be turned (EXIF) is not read; save it upright", code="orientation"
        )
    if not header.grey_is_all:
        raise UnsupportedImage(
            "a TIFF of grey and alpha, or with a palette, is not read; save it as PNG", code="bit_depth"
        )
    found = shared_pool(decodable()).decode(Encoded(data=data, size=header.size))
    if found.shape[:2] != (header.size.height, header.size.width) or found.dtype.kind != "u":
        raise UnreadableImage(
            "the decoded image is not whole numbers of the size that its header says", code="bad_geometry"
        )
    return found
