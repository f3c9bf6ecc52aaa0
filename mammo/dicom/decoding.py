"""Pixel data of a DICOM file become stored values: geometry first, then one pinned decoder per transfer syntax.

Values that are not compressed are copied; everything else is decoded by a process of its own (`decoding_pool`).
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

from mammo.dicom.codestream import jpeg2000_size, jpeg_size
from mammo.dicom.dataset import payload, text
from mammo.dicom.decoding_pool import Encoded, shared_pool
from mammo.dicom.pixel_format import PixelFormat
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size

MAX_RLE_RATIO = 64
"""PackBits turns 2 bytes into at most 128."""

MAX_RATIO, MAX_RATIO_FROM_PIXELS = 200, 2**20
"""A mammogram compresses 3 : 1 without loss and perhaps 50 : 1 with; a codestream of nothing, without end."""


ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""Tag of an item in both byte orders."""

END, PADDING = b"\xff\xd9", 16
"""Last marker of every JPEG, JPEG-LS and JPEG 2000 codestream; most bytes behind it that are passed over."""


@dataclass(frozen=True)
class Decoder:
    """Which pydicom plugin decodes a transfer syntax, and how its codestream tells its size."""

    plugin: str
    size: Callable[[bytes], Size | None] | None = None


NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
"""Not compressed. Deflated files are inflated before their data set is parsed, and are then the second of these."""

DECODERS: dict[uid.UID, Decoder] = {
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


def decode(dataset: FileDataset, form: PixelFormat) -> npt.NDArray[np.uint16]:
    """Return the stored values, H x W, as levels in [0, 2**bits_stored - 1]; bits above them are dropped.

    Level 0 is the least stored value: 0, or -2**(bits_stored - 1) for signed pixels.

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
        raise UnreadableImage("the DICOM file holds no pixels", code="no_pixels")
    if syntax in NATIVE:
        if dataset["PixelData"].is_undefined_length or data[:4] in ITEMS:
            raise UnreadableImage(
                "the pixels are wrapped in items, and the transfer syntax says that they are not; convert the file to "
                "Explicit VR Little Endian",
                code="wrapped_pixels",
            )
        return _levels(_native(data, form, big_endian=syntax == uid.ExplicitVRBigEndian), form)
    encoded = _encoded(data, form, syntax)
    found = shared_pool(decodable()).decode(encoded)
    if found.ndim != 2 or found.dtype.kind not in "iu":
        raise UnreadableImage("the decoded image is not one grey value per pixel", code="decode")
    return _levels(found, form)


def decodable() -> list[str]:
    """Transfer syntaxes that a decoder process makes itself ready for."""
    return [str(syntax) for syntax in DECODERS]


def _native(data: bytes, form: PixelFormat, *, big_endian: bool) -> npt.NDArray[Any]:
    if len(data) < form.num_bytes:
        raise UnreadableImage(
            f"the image needs {form.num_bytes} bytes of pixels, the file holds {len(data)}", code="truncated"
        )
    shape = (form.size.height, form.size.width)
    if form.bits_allocated == 16:
        return np.frombuffer(data, ">u2" if big_endian else "<u2", shape[0] * shape[1]).reshape(shape)
    values = np.frombuffer(data, np.uint8)
    if big_endian and len(values) % 2 == 0:  # two 8-bit pixels share a 16-bit word, which was turned round
        values = values.reshape(-1, 2)[:, ::-1].reshape(-1)
    return values[: shape[0] * shape[1]].reshape(shape)


def _encoded(data: bytes, form: PixelFormat, syntax: uid.UID) -> Encoded:
    """The first frame of encapsulated pixel data, if it can be what the header says."""
    decoder = DECODERS[syntax]
    try:
        frame = next(generate_frames(data, number_of_frames=1))
    except Exception:  # pydicom raises several kinds for broken encapsulation
        raise UnreadableImage("the pixel data are damaged: no frame found", code="decode") from None
    rle = syntax == uid.RLELossless
    most = MAX_RLE_RATIO if rle else MAX_RATIO
    large = rle or form.size.width * form.size.height >= MAX_RATIO_FROM_PIXELS
    if large and form.num_bytes > most * len(frame):
        raise UnreadableImage(
            f"{len(frame)} compressed bytes cannot hold an image of {form.num_bytes} bytes",
            code="bad_geometry",
        )
    if decoder.size is not None:
        claimed = decoder.size(frame)
        if claimed is None:
            raise UnreadableImage("the pixel data are damaged: the codestream has no header", code="decode")
        if claimed != form.size:
            raise UnreadableImage(
                f"the header says {form.size.width} x {form.size.height}, "
                f"the codestream {claimed.width} x {claimed.height}",
                code="bad_geometry",
            )
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


def _levels(found: npt.NDArray[Any], form: PixelFormat) -> npt.NDArray[np.uint16]:
    """Drop the bits above BitsStored (old files keep overlays there); the least signed value becomes level 0."""
    levels = found.astype(np.uint16)  # modulo 2**16: a negative value keeps its lower bits
    levels &= np.uint16((1 << form.bits_stored) - 1)
    if form.signed:
        levels ^= np.uint16(1 << (form.bits_stored - 1))
    return levels


def _printable(syntax: uid.UID) -> str:
    return syntax.name if syntax.is_valid and syntax.name != syntax else "unknown"
