"""Stored values of a mask file: numbers or colours without a grey scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.dicom.dataset import is_dicom, open_dataset
from mammo.dicom.decoding import decode, supported_syntaxes
from mammo.dicom.decoding_pool import Encoded, shared_pool
from mammo.dicom.limits import MAX_BYTES
from mammo.dicom.orientation import UPRIGHT
from mammo.dicom.pixel_format import pixel_format
from mammo.dicom.plain_file import is_plain, not_an_image, plain_header
from mammo.errors import UnreadableImage, UnsupportedImage


def stored_values(data: bytes, *, max_bytes: int = MAX_BYTES) -> npt.NDArray[Any]:
    """Read the pixels of a grey DICOM file, or of a PNG, TIFF, PGM or JPEG.

    Returns:
        H x W, or H x W x 3 or 4 (blue, green, red, alpha), unsigned. In DICOM files 0 is black: signed zero, and the
        largest value of MONOCHROME1. Other values are those of the file.

    Raises:
        UnreadableImage, UnsupportedImage: see `read_mammogram`; but an image of a single value is allowed.
    """
    if is_dicom(data):
        dataset = open_dataset(data, max_bytes=max_bytes)
        form = pixel_format(dataset)
        levels = decode(dataset, form).astype(np.int64)
        zero = 2 ** (form.bits_stored - 1) if form.signed else 2**form.bits_stored - 1 if form.inverted else 0
        return np.abs(levels - zero).astype(np.uint32)
    if not is_plain(data):
        raise not_an_image()
    header = plain_header(data)
    if header.orientation != UPRIGHT or header.turned:
        raise UnsupportedImage(
            "masks with an EXIF orientation are not supported; save the mask upright", code="orientation"
        )
    if header.has_alpha_or_palette:
        raise UnsupportedImage(
            "a TIFF with an alpha channel or a palette is not supported; save it as PNG", code="bit_depth"
        )
    values = shared_pool(supported_syntaxes()).decode(Encoded(data=data, size=header.size))
    if values.shape[:2] != (header.size.height, header.size.width) or values.dtype.kind != "u":
        raise UnreadableImage(
            "the decoded image does not hold unsigned integers in the size of its header", code="bad_geometry"
        )
    return values
