"""A header that contradicts its pixels, or promises more than its bytes can hold, is refused before any decoding."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from mammo.dicom import decoding, plain_file, read_mammogram
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.phantom import phantom_view
from tests.mammo.dicom.encoders import encoded
from tests.mammo.dicom.files import Stored, mammogram_file, with_elements

EIGHT_BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


@pytest.fixture(scope="module")
def phantom() -> Stored:
    return phantom_view(5, clusters=0, num_distractors=0, width=256, height=320, spacing_mm=0.7).stored


@pytest.fixture
def _nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(_: object) -> None:
        raise AssertionError("a decoder was asked")

    for module in (decoding, plain_file):
        monkeypatch.setattr(module, "shared_pool", started)


def refused(data: bytes) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        read_mammogram(data)
    return caught.value


def test_pixels_of_16_bits_under_a_header_of_8_are_refused(phantom: Stored) -> None:
    """Half of the rows would be read, each value as two."""
    assert refused(with_elements(mammogram_file(phantom), **EIGHT_BITS)).code == "bad_geometry"


@pytest.mark.parametrize("times", [2, 3, 60])
def test_more_pixels_than_the_header_states_are_refused(phantom: Stored, times: int) -> None:
    """As several frames without NumberOfFrames."""
    pixels = phantom.astype("<u2").tobytes() * times
    assert refused(with_elements(mammogram_file(phantom), PixelData=pixels)).code == "bad_geometry"


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize(
    "syntax",
    [uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000, uid.JPEGLossless,
     uid.JPEGLosslessSV1],
    ids=lambda syntax: syntax.name,
)  # fmt: skip
def test_a_codestream_of_more_bits_than_are_allocated_is_not_decoded(
    phantom: Stored, syntax: uid.UID
) -> None:
    assert refused(with_elements(encoded(phantom, syntax), **EIGHT_BITS)).code == "bad_geometry"


def test_run_lengths_of_16_bits_under_a_header_of_8_are_refused(phantom: Stored) -> None:
    assert refused(with_elements(encoded(phantom, uid.RLELossless), **EIGHT_BITS)).code == "decode"


@pytest.mark.parametrize("stored", [4, 8, 10])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.JPEGLSLossless], ids=lambda each: each.name
)
def test_values_that_continue_above_the_stored_bits_are_refused(
    phantom: Stored, stored: int, signed: bool, syntax: uid.UID
) -> None:
    """The image would be wrapped around: grey levels of one tissue in the other."""
    data = mammogram_file(phantom) if syntax == uid.ExplicitVRLittleEndian else encoded(phantom, syntax)
    header = {"BitsStored": stored, "HighBit": stored - 1, "PixelRepresentation": int(signed)}
    error = refused(with_elements(data, **header))
    assert error.code == "bad_geometry"
    assert f"BitsStored states ({stored})" in str(error)


@pytest.mark.parametrize("signed", [False, True])
def test_overlays_and_signs_above_the_stored_bits_are_no_values(phantom: Stored, signed: bool) -> None:
    values = phantom.astype(np.int32) - (2048 if signed else 0)
    header = {"PixelRepresentation": int(signed)}
    plain = with_elements(mammogram_file(phantom), PixelData=values.astype("<i2").tobytes(), **header)
    expected = read_mammogram(plain).pixels
    overlay = np.zeros(phantom.shape, np.int32)
    cv2.putText(overlay, "LCC", (40, 150), cv2.FONT_HERSHEY_SIMPLEX, 3, 1, 5)
    cv2.circle(overlay, (128, 200), 60, 3, -1)
    data = ((values & 0x0FFF) | overlay << 13).astype("<u2").tobytes()
    np.testing.assert_array_equal(read_mammogram(with_elements(plain, PixelData=data)).pixels, expected)


def png(
    width: int, height: int, *, pixels: bytes, bits: int = 16, colour: int = 0, more: bytes = b""
) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    header = struct.pack(">LLBBBBB", width, height, bits, colour, 0, 0, 0)
    text = chunk(b"tEXt", b"Comment\0" + more) if more else b""
    parts = (chunk(b"IHDR", header), text, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize("options", [{}, {"bits": 8, "colour": 6}, {"more": b"x" * 10**6}, {"bits": 1}])
def test_a_png_whose_bytes_cannot_hold_its_size_is_not_decoded(options: dict[str, object]) -> None:
    pixels = zlib.compress(b"\0" * 10_000)
    data = png(8000, 8000, pixels=pixels[:200], **options)  # type: ignore[arg-type]
    assert refused(data).code == "bad_geometry"


def test_a_png_of_a_kind_that_does_not_exist_is_refused() -> None:
    assert refused(png(64, 64, pixels=b"x" * 100, colour=5)).code == "truncated"


def test_a_png_that_is_mostly_air_is_read() -> None:
    """The best compression of a deflated picture is close to the limit."""
    picture = np.zeros((4000, 4000), np.uint16)
    picture[:64, :64] = 60_000
    data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    assert picture.nbytes / len(data) > 500
    assert read_mammogram(data).pixels.shape == (4000, 4000)


def tiff(
    width: int, height: int, strips: list[tuple[int, int]], *, size: int, compression: int = 1,
    photometric: int = 1, samples: int = 1,
) -> bytes:  # fmt: skip
    """A TIFF of 16 bits with strips at these offsets and of these lengths in `size` bytes of pixels."""
    places = struct.pack(f"<{2 * len(strips)}L", *(at for at, _ in strips), *(length for _, length in strips))
    pixels = np.random.default_rng(0).integers(1, 255, size).astype(np.uint8).tobytes()
    after = 8 + size

    def where(part: int) -> int:
        return strips[0][part] if len(strips) == 1 else after + 4 * len(strips) * part

    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, compression), (262, 3, 1, photometric),
        (273, 4, len(strips), where(0)), (277, 3, 1, samples), (278, 4, 1, -(-height // len(strips))),
        (279, 4, len(strips), where(1)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<L", after + len(places)) + pixels + places + directory + bytes(4)


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize(
    "make",
    [
        lambda: tiff(8000, 8000, [(8, 200)], size=200),
        lambda: tiff(8000, 8000, [(8, 2**31)], size=200),
        lambda: tiff(64, 64, [(8, 64 * 64 * 2 - 1)], size=64 * 64 * 2),
        lambda: tiff(64, 64, [(8, 4096), (8 + 4096, 4000)], size=64 * 64 * 2),
        lambda: tiff(8000, 8000, [(8, 16_000)] * 8000, size=16_000),
        lambda: tiff(8000, 8000, [(8, 10_000)], size=10_000, compression=5),
        lambda: tiff(8000, 8000, [(8, 10_000)], size=10_000, compression=7),
        lambda: tiff(8000, 8000, [(8, 10_000)], size=10_000, compression=8),
        lambda: tiff(8000, 8000, [(8, 10_000)], size=10_000, compression=32773),
    ],
    ids=[
        "too short", "beyond the end", "a byte too short", "second strip too short", "the same bytes again and again",
        "LZW", "JPEG", "deflate", "PackBits",
    ],
)  # fmt: skip
def test_a_tiff_whose_strips_cannot_hold_its_size_is_not_decoded(make: Callable[[], bytes]) -> None:
    assert refused(make()).code == "bad_geometry"


def test_a_tiff_of_strips_that_are_just_long_enough_is_read() -> None:
    data = tiff(64, 64, [(8, 4096), (8 + 4096, 4096)], size=64 * 64 * 2)
    assert read_mammogram(data).pixels.shape == (64, 64)


@pytest.mark.parametrize("header", [b"P5\n64 64\n65535\n", b"P2\n64 64\n9\n"])
def test_a_pgm_needs_two_bytes_a_pixel_where_its_values_or_its_text_do(header: bytes) -> None:
    whole = header + b"1 2 3 4 " * (64 * 64 // 4)
    assert read_mammogram(whole).pixels.shape == (64, 64)
    assert refused(whole[: len(header) + 64 * 64]).code == "truncated"


def saved(mode: str, kind: str, **options: object) -> bytes:
    """A grey picture in another colour space."""
    grey = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    out = io.BytesIO()
    Image.fromarray(grey).convert(mode).save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize(
    "data",
    [saved("CMYK", "JPEG"), saved("CMYK", "JPEG", progressive=True), saved("CMYK", "TIFF"),
     saved("CMYK", "TIFF", compression="tiff_lzw"), saved("LAB", "TIFF")],
    ids=["JPEG", "progressive JPEG", "TIFF", "TIFF with LZW", "CIELab TIFF"],
)  # fmt: skip
def test_a_picture_in_printing_colours_is_refused_although_it_looks_grey(data: bytes) -> None:
    error = refused(data)
    assert isinstance(error, UnsupportedImage)
    assert error.code == "not_grayscale"


def test_a_jpeg_of_12_bits_and_a_tiff_of_fax_are_refused_by_name() -> None:
    jpeg = bytearray(saved("L", "JPEG"))
    jpeg[jpeg.index(b"\xff\xc0") + 4] = 12
    fax = saved("1", "TIFF", compression="group4")
    for data, code in ((bytes(jpeg), "bit_depth"), (fax, "transfer_syntax")):
        error = refused(data)
        assert isinstance(error, UnsupportedImage)
        assert error.code == code
