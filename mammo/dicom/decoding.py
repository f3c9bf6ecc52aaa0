"""Pixel data of a DICOM file become stored values: geometry first, then one pinned decoder per transfer syntax."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder

from mammo.dicom.codestream import jpeg2000_size, jpeg_size
from mammo.dicom.dataset import integer, payload, text
from mammo.dicom.limits import check_size
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size

MAX_RLE_RATIO = 64
"""PackBits turns 2 bytes into at most 128."""


@dataclass(frozen=True)
class Decoder:
    """Which pydicom plugin decodes a transfer syntax, and how its codestream tells its size."""

    plugin: str
    size: Callable[[bytes], Size | None] | None = None


DECODERS: dict[uid.UID, Decoder] = {
    uid.ImplicitVRLittleEndian: Decoder(""),
    uid.ExplicitVRLittleEndian: Decoder(""),
    uid.ExplicitVRBigEndian: Decoder(""),
    uid.RLELossless: Decoder("pylibjpeg"),
    uid.JPEGLSLossless: Decoder("pyjpegls", jpeg_size),
    uid.JPEGLSNearLossless: Decoder("pyjpegls", jpeg_size),
    uid.JPEG2000Lossless: Decoder("pylibjpeg", jpeg2000_size),
    uid.JPEG2000: Decoder("pylibjpeg", jpeg2000_size),
    uid.JPEGLossless: Decoder("gdcm", jpeg_size),
    uid.JPEGLosslessSV1: Decoder("gdcm", jpeg_size),
    uid.JPEGBaseline8Bit: Decoder("gdcm", jpeg_size),
}
"""The fastest decoder with a permissive licence. Left to itself pydicom would take whichever is installed."""


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """The Image Pixel module (C.7.6.3) of a single-frame grey image, checked."""

    size: Size
    bits_allocated: int
    bits_stored: int
    signed: bool
    inverted: bool
    """MONOCHROME1. PresentationLUTShape INVERSE only repeats it (C.8.11.1) and must not invert a second time."""


def pixel_format(dataset: FileDataset) -> PixelFormat:
    """Check the pixel description of a data set before a byte is decoded.

    Raises:
        UnreadableImage: `missing_attribute`, `bad_geometry` or `too_large`.
        UnsupportedImage: `multi_frame` or `not_grayscale`.
    """
    frames = integer(dataset, "NumberOfFrames") if dataset.get("NumberOfFrames") else 1
    if frames != 1:
        raise UnsupportedImage(
            f"expected a single image, got {frames} frames; split it or send the 2-D view", code="multi_frame"
        )
    samples, photometric = integer(dataset, "SamplesPerPixel"), text(dataset, "PhotometricInterpretation")
    if samples not in (1, None) or (photometric and not photometric.startswith("MONOCHROME")):
        raise UnsupportedImage("expected a grey image (MONOCHROME1 or 2), got colour", code="not_grayscale")
    names = ("Rows", "Columns", "BitsAllocated", "BitsStored")
    rows, columns, allocated, stored = (integer(dataset, name) for name in names)
    if rows is None or columns is None or allocated is None or stored is None:
        raise UnreadableImage(f"the DICOM file lacks one of {', '.join(names)}", code="missing_attribute")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnreadableImage("the DICOM file lacks PhotometricInterpretation", code="missing_attribute")
    if allocated not in (8, 16) or not 2 <= stored <= allocated:
        raise UnreadableImage(
            f"expected 8 or 16 bits allocated, got {stored} of {allocated}", code="bad_geometry"
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


def decode(dataset: FileDataset, form: PixelFormat) -> npt.NDArray[np.int32]:
    """Return the stored values, H x W, within the range of `bits_stored`; bits above it are dropped.

    Raises:
        UnreadableImage: `no_pixels`, `truncated`, `bad_geometry` or `decode`.
        UnsupportedImage: `transfer_syntax`.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    decoder = DECODERS.get(syntax)
    if decoder is None:
        raise UnsupportedImage(
            f"no decoder for transfer syntax {_printable(syntax)}; convert it to Explicit VR Little Endian",
            code="transfer_syntax",
        )
    data = payload(dataset, "PixelData")
    if not data:
        raise UnreadableImage("the DICOM file holds no pixels", code="no_pixels")
    _check_length(data, form, decoder, encapsulated=syntax.is_encapsulated, rle=syntax == uid.RLELossless)
    try:
        found, _ = get_decoder(syntax).as_array(dataset, decoding_plugin=decoder.plugin, index=0)
    except MemoryError:
        raise UnreadableImage("the image asks for more memory than there is", code="too_large") from None
    except NotImplementedError:
        raise UnsupportedImage(
            f"this kind of {_printable(syntax)} cannot be decoded here", code="transfer_syntax"
        ) from None
    except Exception:  # every codec raises its own; the text may quote the file
        raise UnreadableImage("the pixel data are damaged and cannot be decoded", code="decode") from None
    if found.shape != (form.size.height, form.size.width):
        raise UnreadableImage("the decoded image has another size than its header says", code="bad_geometry")
    return _in_range(found, form)


def _check_length(data: bytes, form: PixelFormat, decoder: Decoder, *, encapsulated: bool, rle: bool) -> None:
    needed = form.size.width * form.size.height * form.bits_allocated // 8
    if not encapsulated:
        if len(data) < needed:
            raise UnreadableImage(
                f"the image needs {needed} bytes of pixels, the file holds {len(data)}", code="truncated"
            )
        return
    if rle and needed > MAX_RLE_RATIO * len(data):
        raise UnreadableImage(
            f"{len(data)} bytes of RLE cannot hold an image of {needed} bytes", code="bad_geometry"
        )
    if decoder.size is None:
        return
    try:
        frame = next(generate_frames(data, number_of_frames=1))
    except Exception:  # pydicom raises several kinds for broken encapsulation
        raise UnreadableImage("the pixel data are damaged: no frame found", code="decode") from None
    claimed = decoder.size(frame)
    if claimed is None:
        raise UnreadableImage("the pixel data are damaged: the codestream has no header", code="decode")
    if claimed != form.size:
        raise UnreadableImage(
            f"the header says {form.size.width} x {form.size.height}, "
            f"the codestream {claimed.width} x {claimed.height}",
            code="bad_geometry",
        )


def _in_range(found: npt.NDArray[np.generic], form: PixelFormat) -> npt.NDArray[np.int32]:
    """Drop the bits above BitsStored (old files keep overlays there) and restore the sign."""
    values = found.astype(np.int32)
    values &= (1 << form.bits_stored) - 1
    if form.signed:
        sign = 1 << (form.bits_stored - 1)
        values ^= sign
        values -= sign
    return values


def _printable(syntax: uid.UID) -> str:
    return syntax.name if syntax.is_valid and syntax.name != syntax else "unknown"
