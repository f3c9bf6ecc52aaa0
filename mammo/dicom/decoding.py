"""Decodes the pixel data of a DICOM file into stored values, with one pinned decoder per transfer syntax.

Native pixel data are copied; compressed pixel data are decoded in a separate process (`decoding_pool`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames

from mammo.dicom.codestream import Frame, jpeg2000_frame, jpeg_frame
from mammo.dicom.dataset import payload, text
from mammo.dicom.decoding_pool import Encoded, shared_pool
from mammo.dicom.pixel_format import PixelFormat
from mammo.errors import UnreadableImage, UnsupportedImage

MAX_RLE_RATIO = 64
"""Maximum compression ratio of RLE: PackBits expands 2 bytes to at most 128."""

MAX_RATIO, MAX_RATIO_FROM_PIXELS = 200, 2**20
"""Maximum compression ratio of other codecs, and the number of pixels from which it is checked. A mammogram compresses
3 : 1 losslessly and about 50 : 1 with loss; an empty image has no limit."""

ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""Tag of a sequence item, in both byte orders."""

ROW_STEP = 4
"""Every so many rows are searched for values that continue above BitsStored."""

MAX_LEAP = 0.2
"""Maximum mean step of the stored bits where the bits above change, as a share of their range; random values have a
third, an image under an overlay a few hundredths."""

MIN_EXCESS = 64
"""Bytes after the pixels that are taken for padding, also where a row is shorter."""

END, PADDING = b"\xff\xd9", 16
"""End marker of JPEG, JPEG-LS and JPEG 2000 codestreams, and the maximum number of padding bytes after it."""


@dataclass(frozen=True)
class Decoder:
    """Decoder of one transfer syntax."""

    plugin: str
    """Name of pydicom's decoding plugin."""

    frame: Callable[[bytes], Frame | None] | None = None
    """Reads the header of the codestream; None for a codestream without one."""


NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
"""Uncompressed transfer syntaxes. A deflated file becomes Explicit VR Little Endian before it is parsed."""

DECODERS: dict[uid.UID, Decoder] = {
    uid.RLELossless: Decoder("pylibjpeg"),
    uid.JPEGLSLossless: Decoder("pyjpegls", jpeg_frame),
    uid.JPEGLSNearLossless: Decoder("pyjpegls", jpeg_frame),
    uid.JPEG2000Lossless: Decoder("pylibjpeg", jpeg2000_frame),
    uid.JPEG2000: Decoder("pylibjpeg", jpeg2000_frame),
    uid.JPEGLossless: Decoder("gdcm", jpeg_frame),
    uid.JPEGLosslessSV1: Decoder("gdcm", jpeg_frame),
    uid.JPEGBaseline8Bit: Decoder("gdcm", jpeg_frame),
}
"""The fastest decoder with a permissive licence. By default pydicom would use whichever is installed."""


def decode(dataset: FileDataset, form: PixelFormat) -> npt.NDArray[np.uint16]:
    """Return the stored values, H x W, as levels in [0, 2**bits_stored - 1]; higher bits are dropped.

    Level 0 is the lowest stored value: 0, or -2**(bits_stored - 1) for signed pixels.

    Raises:
        UnreadableImage: `no_pixels`, `wrapped_pixels`, `truncated`, `bad_geometry`, `decode`, `too_large` or
            `too_slow`.
        UnsupportedImage: `transfer_syntax`.
    """
    syntax = uid.UID(text(dataset.file_meta, "TransferSyntaxUID"))
    if syntax not in NATIVE and syntax not in DECODERS:
        raise UnsupportedImage(
            f"no decoder for transfer syntax {_printable(syntax)}; convert it to Explicit VR Little Endian",
            code="transfer_syntax",
        )
    data = payload(dataset, "PixelData")
    if not data:
        raise UnreadableImage("the DICOM file has no pixel data", code="no_pixels")
    if syntax in NATIVE:
        if dataset["PixelData"].is_undefined_length or data[:4] in ITEMS:
            raise UnreadableImage(
                "the pixel data are encapsulated, but the transfer syntax is uncompressed; convert the file to "
                "Explicit VR Little Endian",
                code="wrapped_pixels",
            )
        return _levels(_native(data, form, big_endian=syntax == uid.ExplicitVRBigEndian), form)
    encoded = _encoded(data, form, syntax)
    pixels = shared_pool(supported_syntaxes()).decode(encoded)
    if pixels.ndim != 2 or pixels.dtype.kind not in "iu":
        raise UnreadableImage("the decoded image does not have one integer per pixel", code="decode")
    return _levels(pixels, form)


def supported_syntaxes() -> list[str]:
    """UIDs of the compressed transfer syntaxes that can be decoded."""
    return [str(syntax) for syntax in DECODERS]


def _native(data: bytes, form: PixelFormat, *, big_endian: bool) -> npt.NDArray[Any]:
    """H x W stored values of native pixel data."""
    if len(data) < form.num_bytes:
        raise UnreadableImage(
            f"expected {form.num_bytes} bytes of pixel data, got {len(data)}; send the whole file",
            code="truncated",
        )
    # Some writers pad the data by a few bytes. A whole row too many means that the header is of other pixels.
    if len(data) - form.num_bytes >= max(form.num_bytes // form.size.height, MIN_EXCESS):
        raise UnreadableImage(
            f"expected {form.num_bytes} bytes of pixel data, got {len(data)}: Rows, Columns, BitsAllocated or "
            "NumberOfFrames contradicts them; export the file again",
            code="bad_geometry",
        )
    shape = (form.size.height, form.size.width)
    if form.bits_allocated == 16:
        return np.frombuffer(data, ">u2" if big_endian else "<u2", shape[0] * shape[1]).reshape(shape)
    values = np.frombuffer(data, np.uint8)
    if big_endian and len(values) % 2 == 0:  # two 8-bit pixels share a byte-swapped 16-bit word
        values = values.reshape(-1, 2)[:, ::-1].reshape(-1)
    return values[: shape[0] * shape[1]].reshape(shape)


def _encoded(data: bytes, form: PixelFormat, syntax: uid.UID) -> Encoded:
    """Return the first frame of encapsulated pixel data, after its size was checked against the header."""
    decoder = DECODERS[syntax]
    try:
        frame = next(generate_frames(data, number_of_frames=1))
    except Exception:  # pydicom raises several types for damaged encapsulation
        raise UnreadableImage("the pixel data are damaged: they contain no frame", code="decode") from None
    rle = syntax == uid.RLELossless
    max_ratio = MAX_RLE_RATIO if rle else MAX_RATIO
    is_checked = rle or form.size.width * form.size.height >= MAX_RATIO_FROM_PIXELS
    if is_checked and form.num_bytes > max_ratio * len(frame):
        raise UnreadableImage(
            f"{len(frame)} compressed bytes cannot encode an image of {form.num_bytes} bytes",
            code="bad_geometry",
        )
    if decoder.frame is not None:
        _require_agreement(decoder.frame(frame), form)
        if END not in frame.rstrip(b"\0")[-PADDING:]:
            raise UnreadableImage("the pixel data are damaged: the codestream ends too early", code="decode")
    return Encoded(
        data=frame,
        size=form.size,
        syntax=str(syntax),
        plugin=decoder.plugin,
        options={
            "rows": form.size.height,
            "columns": form.size.width,
            "samples_per_pixel": 1,
            "number_of_frames": 1,
            "photometric_interpretation": "MONOCHROME1" if form.inverted else "MONOCHROME2",
            "bits_allocated": form.bits_allocated,
            "bits_stored": form.bits_stored,
            "pixel_representation": int(form.signed),
            "pixel_keyword": "PixelData",
        },
    )


def _require_agreement(stated: Frame | None, form: PixelFormat) -> None:
    """Refuse a codestream of another size, more bits or more samples than the header of the file says."""
    if stated is None:
        raise UnreadableImage("the pixel data are damaged: the codestream has no header", code="decode")
    if stated.size != form.size:
        raise UnreadableImage(
            f"the header states {form.size.width} x {form.size.height} pixels, "
            f"the codestream {stated.size.width} x {stated.size.height}",
            code="bad_geometry",
        )
    if stated.precision > form.bits_allocated or stated.components != 1:
        raise UnreadableImage(
            f"the header states one sample of {form.bits_allocated} bits per pixel, the codestream "
            f"{stated.components} of {stated.precision} bits",
            code="bad_geometry",
        )


def _require_bits(pixels: npt.NDArray[np.uint16], form: PixelFormat) -> None:
    """Refuse values that continue above BitsStored, as those of a 12-bit image under a header of 8 bits.

    Old files have overlays there, and signed values repeat their sign. Without the bits above, an image that continues
    there is wrapped around: where these bits change from one pixel to the next, the lower ones leap. Under an overlay
    they do not.
    """
    if form.bits_stored >= form.bits_allocated:
        return
    rows = pixels[::ROW_STEP]
    if not (rows >> np.uint16(form.bits_stored)).any():
        return
    values = rows.astype(np.int32)
    half, mask = 1 << (form.bits_stored - 1), (1 << form.bits_stored) - 1
    lower, above = values & mask, values >> form.bits_stored
    if form.signed:
        has_sign = values == np.where(lower & half, lower | 0xFFFF & ~mask, lower)
        above = np.where(has_sign, 0, above)
        lower ^= half
    leaps = np.abs(np.diff(lower, axis=1))[np.diff(above, axis=1) != 0]
    if leaps.size and leaps.mean() > MAX_LEAP * (mask + 1):
        raise UnreadableImage(
            f"the pixel values need more bits than BitsStored states ({form.bits_stored}); export the file again",
            code="bad_geometry",
        )


def _levels(pixels: npt.NDArray[Any], form: PixelFormat) -> npt.NDArray[np.uint16]:
    """Drop the bits above BitsStored (old files store overlays there); shift the lowest signed value to level 0."""
    levels = pixels.astype(np.uint16)  # modulo 2**16: a negative value keeps its lower bits
    _require_bits(levels, form)
    levels &= np.uint16((1 << form.bits_stored) - 1)
    if form.signed:
        levels ^= np.uint16(1 << (form.bits_stored - 1))
    return levels


def _printable(syntax: uid.UID) -> str:
    """Name of a registered transfer syntax; `unknown` for others, whose text may be anything."""
    return syntax.name if syntax.is_valid and syntax.name != syntax else "unknown"
