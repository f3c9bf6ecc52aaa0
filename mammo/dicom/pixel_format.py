"""PixelFormat: the pixel description of a DICOM header, checked."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import FileDataset

from mammo.dicom.dataset import integer, text
from mammo.dicom.limits import check_size
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """The Image Pixel module (C.7.6.3) of a single-frame grey image, checked."""

    size: Size
    bits_allocated: int
    bits_stored: int
    signed: bool
    inverted: bool
    """MONOCHROME1. PresentationLUTShape INVERSE restates it (C.8.11.1) and must not invert a second time."""

    @property
    def num_bytes(self) -> int:
        """Size of the uncompressed pixel data."""
        return self.size.width * self.size.height * self.bits_allocated // 8


def pixel_format(dataset: FileDataset) -> PixelFormat:
    """Read and check the pixel description of a data set, before anything is decoded.

    Raises:
        UnreadableImage: `missing_attribute`, `bad_geometry` or `too_large`.
        UnsupportedImage: `multi_frame` or `not_grayscale`.
    """
    frames = integer(dataset, "NumberOfFrames") if text(dataset, "NumberOfFrames") else 1
    if frames != 1:
        raise UnsupportedImage(
            "expected a single frame, got several; split the file or send the 2-D view", code="multi_frame"
        )
    samples, photometric = integer(dataset, "SamplesPerPixel"), text(dataset, "PhotometricInterpretation")
    if samples not in (1, None) or (photometric and not photometric.startswith("MONOCHROME")):
        raise UnsupportedImage("expected a grey image (MONOCHROME1 or 2), got colour", code="not_grayscale")
    names = ("Rows", "Columns", "BitsAllocated", "BitsStored")
    rows, columns, allocated, stored = (integer(dataset, name) for name in names)
    if rows is None or columns is None or allocated is None or stored is None:
        raise UnreadableImage(
            f"the DICOM file lacks a valid value of {', '.join(names)}", code="missing_attribute"
        )
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnreadableImage(
            "the DICOM file lacks PhotometricInterpretation MONOCHROME1 or MONOCHROME2",
            code="missing_attribute",
        )
    if allocated not in (8, 16) or not 2 <= stored <= allocated:
        raise UnreadableImage(
            f"expected BitsAllocated 8 or 16 and BitsStored up to it, got {allocated} and {stored}",
            code="bad_geometry",
        )
    if integer(dataset, "HighBit") not in (None, stored - 1):
        raise UnreadableImage("expected HighBit to be BitsStored - 1", code="bad_geometry")
    return PixelFormat(
        size=check_size(columns, rows),
        bits_allocated=allocated,
        bits_stored=stored,
        signed=integer(dataset, "PixelRepresentation") == 1,
        inverted=photometric == "MONOCHROME1",
    )
