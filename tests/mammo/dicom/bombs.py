"""Small files that would cost a naive reader seconds or gigabytes, and codestreams that lie about themselves."""

from __future__ import annotations

import struct
from collections.abc import Callable

import cv2
import numpy as np
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate

from tests.mammo.dicom.encoders import encoded
from tests.mammo.dicom.files import Stored, edited, gradient, mammogram_file, with_elements, with_raw

ITEM = b"\xfe\xff\x00\xe0"
END = b"\xfe\xff\xdd\xe0\0\0\0\0"


def noise(height: int = 64, width: int = 64) -> Stored:
    return np.random.default_rng(0).integers(0, 4096, (height, width)).astype(np.uint16)


def before_pixels(inserted: bytes) -> bytes:
    """A sound file with bytes inserted in front of its pixel data."""
    data = mammogram_file()
    at = data.rindex(b"\xe0\x7f\x10\x00OW")
    return data[:at] + inserted + data[at:]


def items_bomb(num_items: int = 400_000) -> bytes:
    opening = b"\x77\x77\x00\x10SQ\0\0\xff\xff\xff\xff"
    return before_pixels(opening + (ITEM + b"\0\0\0\0") * num_items + END)


def elements_bomb(num_elements: int = 400_000) -> bytes:
    return before_pixels(struct.pack("<HH2sH", 0x7777, 0x1000, b"LO", 0) * num_elements)


def private_nesting() -> bytes:
    opening = b"\x77\x77\x00\x10SQ\0\0\xff\xff\xff\xff" + ITEM + b"\xff\xff\xff\xff"
    return before_pixels(opening * 3000 + (b"\xfe\xff\x0d\xe0\0\0\0\0" + END) * 3000)


def fragments_bomb(num_fragments: int = 400_000) -> bytes:
    return with_frame(uid.JPEGLSLossless, raw=(ITEM + b"\0\0\0\0") * num_fragments)


def with_frame(syntax: uid.UID, frame: bytes = b"", *, raw: bytes | None = None, **elements: object) -> bytes:
    """A file of a compressed syntax with this frame, or with these bytes where the encapsulated frames should be."""

    def edit(dataset: FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([frame]) if raw is None else raw
        dataset["PixelData"].is_undefined_length = True
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return edited(mammogram_file(noise()), edit)


def frame_of(syntax: uid.UID, stored: Stored | None = None) -> bytes:
    """The bare codestream of an image."""
    data = encoded(noise() if stored is None else stored, syntax)
    start = data.index(b"\xff\x4f\xff\x51" if "2000" in syntax.name else b"\xff\xd8\xff")
    return data[start : data.rindex(b"\xff\xd9") + 2]


def j2k(
    offset: int, form: str, *values: int, syntax: uid.UID = uid.JPEG2000Lossless, **elements: object
) -> bytes:
    """A JPEG 2000 with a field of its SIZ segment overwritten."""
    frame = bytearray(frame_of(syntax))
    struct.pack_into(">" + form, frame, offset, *values)
    return with_frame(syntax, bytes(frame), **elements)


def j2k_coding(offset: int, value: int) -> bytes:
    """A JPEG 2000 with a byte of its COD segment overwritten."""
    frame = bytearray(frame_of(uid.JPEG2000Lossless))
    frame[frame.index(b"\xff\x52") + offset] = value
    return with_frame(uid.JPEG2000Lossless, bytes(frame))


def jpeg_frame(syntax: uid.UID, offset: int, value: int) -> bytes:
    """A JPEG or JPEG-LS with a byte of its frame header overwritten."""
    frame = bytearray(frame_of(syntax))
    marker = next(at for at in range(len(frame)) if frame[at] == 0xFF and frame[at + 1] in (0xF7, 0xC3))
    frame[marker + offset] = value
    return with_frame(syntax, bytes(frame))


def cut(syntax: uid.UID) -> bytes:
    frame = frame_of(syntax)
    return with_frame(syntax, frame[: len(frame) // 3])


def claims(syntax: uid.UID, side: int) -> bytes:
    """A codestream of 64 x 64 whose own header and DICOM header agree on a huge image."""
    frame = bytearray(frame_of(syntax))
    if syntax == uid.JPEG2000Lossless:
        struct.pack_into(">LL", frame, 8, side, side)
    else:
        marker = next(at for at in range(len(frame)) if frame[at] == 0xFF and frame[at + 1] in (0xF7, 0xC3))
        struct.pack_into(">HH", frame, marker + 5, side, side)
    return with_frame(syntax, bytes(frame), Rows=side, Columns=side)


def rle(header: list[int], body: bytes) -> bytes:
    return with_frame(uid.RLELossless, struct.pack("<16L", *(header + [0] * (16 - len(header)))) + body)


def png_cut() -> bytes:
    data = cv2.imencode(".png", noise())[1].tobytes()
    return data[: len(data) // 2]


def huge_jpeg() -> bytes:
    frame = bytearray(cv2.imencode(".jpg", noise().astype(np.uint8))[1].tobytes())
    struct.pack_into(">HH", frame, frame.index(b"\xff\xc0") + 5, 8000, 8000)
    return bytes(frame)


def tiff(entries: list[tuple[int, int, int, int]]) -> bytes:
    """A little-endian TIFF with this directory and 100 bytes of pixels."""
    body = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4) + bytes(100)


LS, J2K, LOSSLESS = uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.JPEGLosslessSV1
DAMAGED = ("decode", "bad_geometry", "too_large", "too_slow")

BOMBS: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "400 000 empty items": (items_bomb, ("too_many_elements",)),
    "400 000 empty elements": (elements_bomb, ("too_many_elements",)),
    "3000 private sequences inside each other": (private_nesting, ("nesting",)),
    "400 000 empty fragments": (fragments_bomb, ("too_many_elements", "decode")),
    "pixels as a million numbers": (
        lambda: with_raw(PixelData=("UT", b"1\\" * 10**6)),
        ("no_pixels", "truncated"),
    ),
    "JPEG 2000 of 8000 x 8000 in 8 kB": (lambda: claims(J2K, 8000), ("bad_geometry",)),
    "JPEG-LS of 8000 x 8000 in 6 kB": (lambda: claims(LS, 8000), ("bad_geometry",)),
    "JPEG Lossless of 8000 x 8000 in 8 kB": (lambda: claims(LOSSLESS, 8000), ("bad_geometry",)),
    "JPEG 2000 of 16384 components": (lambda: j2k(40, "H", 16384), DAMAGED),
    "JPEG 2000 of no component": (lambda: j2k(40, "H", 0), DAMAGED),
    "JPEG 2000 larger than it says": (lambda: j2k(8, "LL", 2**31 - 1, 2**31 - 1), DAMAGED),
    "JPEG 2000 that begins after its end": (lambda: j2k(16, "LL", 2**32 - 1, 2**32 - 1), DAMAGED),
    "JPEG 2000 of empty tiles": (lambda: j2k(24, "LL", 0, 0), DAMAGED),
    "JPEG 2000 of 33 decompositions": (lambda: j2k_coding(9, 33), DAMAGED),
    "JPEG 2000 of absurd code blocks": (lambda: j2k_coding(10, 255), DAMAGED),
    "JPEG 2000 cut": (lambda: cut(J2K), DAMAGED),
    "JPEG-LS of no component": (lambda: jpeg_frame(LS, 9, 0), DAMAGED),
    "JPEG-LS of 255 components": (lambda: jpeg_frame(LS, 9, 255), DAMAGED),
    "JPEG-LS of 255 bits": (lambda: jpeg_frame(LS, 4, 255), DAMAGED),
    "JPEG Lossless of no component": (lambda: jpeg_frame(LOSSLESS, 9, 0), DAMAGED),
    "JPEG Lossless of 255 bits": (lambda: jpeg_frame(LOSSLESS, 4, 255), DAMAGED),
    "JPEG-LS cut": (lambda: cut(LS), DAMAGED),
    "RLE of 4 billion segments": (lambda: rle([2**32 - 1], bytes(200)), DAMAGED),
    "RLE of no segment": (lambda: rle([0], bytes(200)), DAMAGED),
    "RLE whose segments lie outside": (lambda: rle([2, 64, 2**31], bytes(200)), DAMAGED),
    "RLE whose segments run backwards": (lambda: rle([2, 5000, 64], bytes(200)), DAMAGED),
    "RLE that ends early": (lambda: rle([2, 64, 80], b"\x81\x00" * 60), DAMAGED),
    "RLE that unpacks to too much": (lambda: rle([2, 64, 20_000], b"\x81\x00" * 20_000), DAMAGED),
    "RLE without a header": (lambda: with_frame(uid.RLELossless, b"\x81\x00" * 200), DAMAGED),
    "no frame behind the offset table": (lambda: with_frame(LS, raw=ITEM + bytes(4)), DAMAGED),
    "an item longer than the file": (
        lambda: with_frame(LS, raw=ITEM + struct.pack("<L", 2**31) + bytes(100)),
        (*DAMAGED, "truncated", "parse", "no_pixels"),
    ),
    "an offset table that points outside": (
        lambda: with_frame(LS, raw=ITEM + struct.pack("<LL", 4, 2**31) + ITEM + struct.pack("<L", 100) + bytes(100)),
        DAMAGED,
    ),
    "a JPEG-LS labelled JPEG 2000": (lambda: with_frame(J2K, frame_of(LS)), DAMAGED),
    "a JPEG 2000 labelled RLE": (lambda: with_frame(uid.RLELossless, frame_of(J2K)), DAMAGED),
    "two transfer syntaxes": (
        lambda: mammogram_file().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\\1 "),
        ("transfer_syntax",),
    ),
    "rows and columns exchanged": (
        lambda: with_frame(LS, frame_of(LS, noise(64, 48)), Rows=48, Columns=64),
        ("bad_geometry",),
    ),
    "three samples hidden in a grey JPEG-LS": (
        lambda: with_elements(encoded(gradient(), LS), SamplesPerPixel=3),
        ("not_grayscale",),
    ),
    "two photometric interpretations": (
        lambda: with_elements(PhotometricInterpretation=["MONOCHROME2", "RGB"]),
        ("missing_attribute",),
    ),
    "PNG cut in its pixels": (png_cut, ("decode", "constant_image")),
    "PGM of 8000 x 8000 and nothing": (lambda: b"P5 8000 8000 255\n", ("truncated",)),
    "JPEG of 8000 x 8000 in 1 kB": (huge_jpeg, ("bad_geometry",)),
    "TIFF of 8000 x 8000 and nothing": (
        lambda: tiff([(256, 4, 1, 8000), (257, 4, 1, 8000), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1),
                      (273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, 8000), (279, 4, 1, 100)]),
        ("bad_geometry",),
    ),
    "TIFF of 65535 bits": (
        lambda: tiff([(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 65535), (259, 3, 1, 1), (262, 3, 1, 1),
                      (273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, 64), (279, 4, 1, 100)]),
        ("bad_geometry",),
    ),
    "TIFF whose directory lies outside": (lambda: b"II*\0\xff\xff\xff\x7f" + bytes(100), ("truncated",)),
}  # fmt: skip
