"""A file whose decoder complains, and gives pixels all the same, is refused: nobody would notice what it made up."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image, TiffImagePlugin
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames

from mammo.deidentification.deidentify import Deidentifier
from mammo.dicom import read_mammogram
from mammo.errors import UnreadableImage
from tests.mammo.dicom.encoders import encoded
from tests.mammo.dicom.files import Stored, edited, mammogram_file

CUTS = (0.3, 0.6, 0.9, 0.99)
END = b"\xff\xd9"
COMPRESSED = [
    uid.RLELossless, uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000, uid.JPEGLossless,
    uid.JPEGLosslessSV1, uid.JPEGBaseline8Bit,
]  # fmt: skip


def texture(*, bits: int) -> Stored:
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (240, 200)), (0, 0), 2)
    return ((noise - noise.min()) / np.ptp(noise) * (2**bits - 1)).astype(np.uint16)


EIGHT = texture(bits=8).astype(np.uint8)


def saved(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(EIGHT).save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


JPEGS = {
    "baseline": saved("JPEG", quality=92),
    "progressive": saved("JPEG", quality=92, progressive=True),
    "with restarts": cv2.imencode(".jpg", EIGHT, [cv2.IMWRITE_JPEG_RST_INTERVAL, 4])[1].tobytes(),
}
TIFFS = {
    "LZW": saved("TIFF", compression="tiff_lzw"),
    "Deflate": saved("TIFF", compression="tiff_adobe_deflate"),
    "old Deflate": saved("TIFF", compression="tiff_deflate"),
    "JPEG": saved("TIFF", compression="jpeg"),
    "16 bit LZW": cv2.imencode(".tiff", texture(bits=16))[1].tobytes(),
}


def refused(data: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_mammogram(data)
    return caught.value.code


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_was_cut_off_is_refused(name: str, cut: float) -> None:
    data = JPEGS[name]
    assert read_mammogram(data).pixels.shape == EIGHT.shape
    end = int(cut * len(data))
    for damaged in (data[:end], data[:end] + END, data[:end] + bytes(len(data) - end)):
        assert refused(damaged) == "decode"


def test_a_progressive_jpeg_that_lacks_whole_scans_is_refused() -> None:
    data = JPEGS["progressive"]
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xc4"]
    assert len(scans) >= 4
    for at in scans[1:]:
        assert refused(data[:at] + END) == "decode"


def test_what_follows_the_end_of_a_jpeg_does_no_harm() -> None:
    data = JPEGS["progressive"]
    np.testing.assert_array_equal(
        read_mammogram(data + b"maker's notes" * 9).pixels, read_mammogram(data).pixels
    )


@pytest.mark.parametrize("at", CUTS)
@pytest.mark.parametrize("name", TIFFS)
def test_a_tiff_with_a_damaged_strip_is_refused(name: str, at: float) -> None:
    data = TIFFS[name]
    assert read_mammogram(data).pixels.shape == EIGHT.shape
    place = int(at * (len(data) - 600)) + 150
    assert refused(data[:place] + b"\xff" * 8 + data[place + 8 :]) in ("decode", "truncated")


def test_tags_of_a_tiff_that_nobody_knows_do_no_harm() -> None:
    more = TiffImagePlugin.ImageFileDirectory_v2()
    more[42112], more[65000], more[274] = "what a scanner says of itself", "more", 9
    np.testing.assert_array_equal(np.round(read_mammogram(saved("TIFF", tiffinfo=more)).pixels * 255), EIGHT)


def test_a_png_whose_checksums_are_wrong_or_whose_rows_are_missing_is_refused() -> None:
    data = saved("PNG")
    start = data.index(b"IDAT")
    end = start + 4 + int.from_bytes(data[start - 4 : start], "big")
    assert refused(data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]) == "decode"
    rows = b"".join(b"\0" + row.tobytes() for row in EIGHT)
    for packed in (
        zlib.compress(rows)[:-30],
        zlib.compress(rows[: len(rows) // 2]),
        zlib.compress(rows)[:-4],
    ):
        body = struct.pack(">L", len(packed)) + b"IDAT" + packed
        body += struct.pack(">L", zlib.crc32(b"IDAT" + packed))
        assert refused(data[:33] + body + data[-12:]) == "decode"


def test_a_remark_of_the_png_decoder_on_colours_does_no_harm() -> None:
    profile = b"ICC\0\0" + zlib.compress(b"no profile at all" * 20)
    body = struct.pack(">L", len(profile)) + b"iCCP" + profile
    data = saved("PNG")
    body += struct.pack(">L", zlib.crc32(b"iCCP" + profile))
    np.testing.assert_array_equal(np.round(read_mammogram(data[:33] + body + data[33:]).pixels * 255), EIGHT)


def test_one_damaged_image_casts_no_suspicion_on_the_next() -> None:
    data = JPEGS["baseline"]
    for _ in range(3):
        assert refused(data[: len(data) // 2] + END) == "decode"
        assert read_mammogram(data).pixels.shape == EIGHT.shape


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.name)
def test_a_compressed_frame_that_was_cut_off_is_refused(syntax: uid.UID, cut: float) -> None:
    data = baseline() if syntax == uid.JPEGBaseline8Bit else encoded(texture(bits=12), syntax)
    assert read_mammogram(data).pixels.shape == EIGHT.shape
    frame = next(generate_frames(pydicom.dcmread(io.BytesIO(data)).PixelData, number_of_frames=1))
    end = int(cut * len(frame))
    for damaged in (frame[:end], frame[:end] + END, frame[:end] + bytes(len(frame) - end)):
        assert refused(framed(data, damaged)) == "decode"


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
@pytest.mark.parametrize("stated", [True, False], ids=["undefined length", "stated length"])
def test_native_pixels_wrapped_in_items_are_not_read_shifted(syntax: uid.UID, stated: bool) -> None:
    def wrap(dataset: FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].is_undefined_length = stated

    data = edited(mammogram_file(), wrap)
    assert refused(data) == "wrapped_pixels"
    with pytest.raises(UnreadableImage):
        Deidentifier(b"a key of 16 bytes or more")(data)


def framed(data: bytes, frame: bytes) -> bytes:
    """The file with another frame."""

    def edit(dataset: FileDataset) -> None:
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True

    return edited(data, edit)


def baseline() -> bytes:
    """An 8-bit mammogram as JPEG of the kind that DICOM knows best."""

    def edit(dataset: FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = encapsulate([JPEGS["baseline"]])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"

    return edited(mammogram_file(EIGHT.astype(np.uint16), bits=10), edit)
