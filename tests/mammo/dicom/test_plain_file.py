from __future__ import annotations

import cv2
import numpy as np
import pytest

from mammo.dicom import display_twin, read_mammogram
from mammo.errors import UnsupportedImage
from tests.mammo.dicom.files import gradient

EIGHT = gradient(bits=8).astype(np.uint8)
SIXTEEN = gradient(bits=16)


def encoded(extension: str, pixels: np.ndarray) -> bytes:  # type: ignore[type-arg]
    return cv2.imencode(extension, pixels)[1].tobytes()


@pytest.mark.parametrize("extension", [".png", ".tiff", ".pgm"])
@pytest.mark.parametrize("pixels", [EIGHT, SIXTEEN], ids=["8 bit", "16 bit"])
def test_a_lossless_grey_image_is_read_bit_for_bit(extension: str, pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    mammogram = read_mammogram(encoded(extension, pixels), spacing=0.07)
    top = np.iinfo(pixels.dtype).max
    np.testing.assert_array_equal(np.round(mammogram.pixels * top).astype(pixels.dtype), pixels)
    assert mammogram.depth == 8 * pixels.dtype.itemsize
    assert mammogram.spacing is not None
    assert mammogram.spacing.source == "given"
    assert mammogram.patient is mammogram.laterality is mammogram.view is None


def test_an_8_bit_image_is_its_own_twin() -> None:
    np.testing.assert_array_equal(display_twin(encoded(".png", EIGHT)), EIGHT)


def test_a_16_bit_image_of_12_bit_values_still_gets_a_bright_twin() -> None:
    assert display_twin(encoded(".png", gradient(bits=12))).max() == 255


@pytest.mark.parametrize("extension", [".png", ".jpg", ".tiff"])
def test_a_grey_image_saved_as_colour_is_grey(extension: str) -> None:
    colour = cv2.cvtColor(EIGHT, cv2.COLOR_GRAY2BGR)
    values = read_mammogram(encoded(extension, colour)).pixels * 255
    assert np.abs(values - EIGHT).max() <= 3


def test_transparency_is_not_colour() -> None:
    with_alpha = cv2.cvtColor(EIGHT, cv2.COLOR_GRAY2BGRA)
    np.testing.assert_array_equal(display_twin(encoded(".png", with_alpha)), EIGHT)


def test_a_grey_jpeg_is_read() -> None:
    values = read_mammogram(encoded(".jpg", EIGHT)).pixels * 255
    assert np.abs(values - EIGHT).max() <= 3


def test_a_tiff_whose_zero_is_white_is_inverted_once() -> None:
    for pixels in (EIGHT, SIXTEEN):
        data = bytearray(_plain_tiff(pixels, photometric=0))
        top = np.iinfo(pixels.dtype).max
        values = np.round(read_mammogram(bytes(data)).pixels * top).astype(np.int64)
        np.testing.assert_array_equal(values, top - pixels.astype(np.int64))


def test_a_tiff_of_floats_is_refused() -> None:
    with pytest.raises(UnsupportedImage) as caught:
        read_mammogram(encoded(".tiff", EIGHT.astype(np.float32)))
    assert caught.value.code == "bit_depth"


def test_a_tiff_of_several_pages_is_refused() -> None:
    done, pages = cv2.imencodemulti(".tiff", [EIGHT, EIGHT])
    assert done
    with pytest.raises(UnsupportedImage) as caught:
        read_mammogram(pages.tobytes())
    assert caught.value.code == "multi_frame"


def test_a_comment_in_a_pgm_is_no_number() -> None:
    header = b"P5\n# 99 99 a comment\n32 48\n# another\n255\n"
    np.testing.assert_array_equal(display_twin(header + EIGHT.tobytes()), EIGHT)


def _plain_tiff(pixels: np.ndarray, *, photometric: int) -> bytes:  # type: ignore[type-arg]
    """An uncompressed little-endian TIFF written by hand."""
    height, width = pixels.shape
    body = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    bits = 8 * pixels.dtype.itemsize
    entries = [
        (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(body)),
    ]  # fmt: skip
    directory = len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        directory += tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little")
        directory += value.to_bytes(4, "little")
    return b"II*\0" + (8 + len(body)).to_bytes(4, "little") + body + directory + b"\0\0\0\0"
