"""Hostile and unfortunate files: each is refused with its own stable code, and no message names the patient."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from mammo.dicom import display_twin, read_mammogram
from mammo.errors import UnreadableImage, UnsupportedImage
from tests.mammo.dicom.files import PATIENT, edited, gradient, mammogram_file, with_elements


def deflate_bomb() -> bytes:
    data = mammogram_file()
    end = 144 + int.from_bytes(data[140:144], "little")
    body = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = body.compress(data[end:] + b"\0" * (64 * 2**20)) + body.flush()
    return _deflated_header(data[:end]) + packed


def truncated_deflate() -> bytes:
    data = mammogram_file()
    end = 144 + int.from_bytes(data[140:144], "little")
    body = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = body.compress(data[end:]) + body.flush()
    return _deflated_header(data[:end]) + packed[: len(packed) // 2]


def _deflated_header(header: bytes) -> bytes:
    """The meta header with the transfer syntax changed: 20 characters become 22."""
    at = header.index(b"1.2.840.10008.1.2.1")
    longer = header[: at - 2] + struct.pack("<H", 22) + b"1.2.840.10008.1.2.1.99" + header[at + 20 :]
    return longer[:140] + struct.pack("<L", int.from_bytes(header[140:144], "little") + 2) + longer[144:]


def nested() -> bytes:
    """2000 sequences of undefined length, one inside the other."""
    data = mammogram_file()
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    opening = b"\x54\x00\x20\x02SQ\0\0\xff\xff\xff\xff" + item  # ViewCodeSequence (0054,0220)
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    at = data.index(b"\x54\x00\x20\x02SQ")
    return data[:at] + opening * 2000 + closing * 2000


def with_class(sop_class: str, **elements: object) -> bytes:
    return with_elements(SOPClassUID=sop_class, **elements)


def claiming(width: int, height: int) -> bytes:
    return with_elements(Rows=height, Columns=width)


def codestream_larger_than_header() -> bytes:
    """A JPEG-LS whose own header asks for 65 535 x 65 535 pixels: what a decoder would allocate."""
    data = mammogram_file(syntax="jpeg-ls")
    at = data.index(b"\xff\xf7")
    return data[: at + 5] + b"\xff\xff\xff\xff" + data[at + 9 :]


def rle_bomb() -> bytes:
    return with_elements(mammogram_file(syntax="rle"), Rows=7000, Columns=7000)


def with_syntax(syntax: str, pixels: bytes) -> bytes:
    def edit(dataset: FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
        dataset.PixelData = encapsulate([pixels])
        dataset["PixelData"].is_undefined_length = True

    return edited(mammogram_file(), edit)


def noisy_jpeg_ls() -> bytes:
    noise = np.random.default_rng(0).integers(0, 4096, (64, 64))
    return mammogram_file(noise.astype(np.uint16), syntax="jpeg-ls")


def damaged_jpeg_ls() -> bytes:
    """The scan ends after 20 bytes; everything around it is sound."""
    data = noisy_jpeg_ls()
    scan, end = data.index(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[: scan + 20] + b"\xff\xd9" + b"\0" * (end - scan - 20) + data[end + 2 :]


def colour_secondary_capture() -> bytes:
    return with_class(
        "1.2.840.10008.5.1.4.1.1.7",
        SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
        BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=b"\x10\x20\x30" * (48 * 32),
    )  # fmt: skip


def dicomdir() -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(mammogram_file()), stop_before_pixels=True)
    for element in list(dataset):
        del dataset[element.tag]
    dataset.file_meta.MediaStorageSOPClassUID = uid.MediaStorageDirectoryStorage
    dataset.DirectoryRecordSequence = Sequence([Dataset()])
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=False)
    return out.getvalue()


def png(pixels: np.ndarray) -> bytes:  # type: ignore[type-arg]
    return cv2.imencode(".png", pixels)[1].tobytes()


def huge_png() -> bytes:
    data = bytearray(png(gradient().astype(np.uint8)))
    data[16:24] = struct.pack(">LL", 60_000, 60_000)
    return bytes(data)


def real_colour() -> bytes:
    rng = np.random.default_rng(0)
    return png(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8))


UNREADABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "not_an_image"),
    "text": (lambda: b"not an image at all " * 20, "not_an_image"),
    "zip archive": (lambda: b"PK\x03\x04" + b"\0" * 400, "not_an_image"),
    "preamble only": (lambda: b"\0" * 128 + b"DICM", "truncated"),
    "cut inside the header": (lambda: mammogram_file()[:700], "missing_attribute"),
    "cut inside compressed pixels": (lambda: noisy_jpeg_ls()[:-1000], "truncated"),
    "cut inside the pixels": (lambda: mammogram_file()[:-1000], "truncated"),
    "deflate bomb": (deflate_bomb, "deflate_limit"),
    "truncated deflate": (truncated_deflate, "truncated"),
    "2000 nested sequences": (nested, "nesting"),
    "rows missing": (lambda: with_elements(Rows=None), "missing_attribute"),
    "rows zero": (lambda: with_elements(Rows=0), "bad_geometry"),
    "photometric missing": (lambda: with_elements(PhotometricInterpretation=None), "missing_attribute"),
    "65535 x 65535": (lambda: claiming(65535, 65535), "bad_geometry"),
    "20000 x 20000": (lambda: claiming(20000, 20000), "too_large"),
    "pixels fewer than rows x columns": (lambda: claiming(64, 64), "truncated"),
    "RLE bomb": (rle_bomb, "bad_geometry"),
    "codestream larger than header": (codestream_larger_than_header, "bad_geometry"),
    "32 bits": (lambda: with_elements(BitsAllocated=32, BitsStored=32, HighBit=31), "bad_geometry"),
    "more bits stored than allocated": (lambda: with_elements(BitsStored=17, HighBit=16), "bad_geometry"),
    "no pixel data": (lambda: with_elements(PixelData=None), "no_pixels"),
    "empty pixel data": (lambda: with_elements(PixelData=b""), "no_pixels"),
    "damaged JPEG-LS": (damaged_jpeg_ls, "decode"),
    "JPEG 2000 without a codestream": (lambda: with_syntax(uid.JPEG2000Lossless, b"junk" * 50), "decode"),
    "all pixels equal": (lambda: mammogram_file(np.full((48, 32), 7, np.uint16)), "constant_image"),
    "all pixels padding": (
        lambda: with_elements(PixelPaddingValue=0, PixelPaddingRangeLimit=4095),
        "constant_image",
    ),
    "PNG that claims 60000 x 60000": (huge_png, "bad_geometry"),
    "PNG cut short": (lambda: png(gradient())[:20], "truncated"),
    "PNG without pixels": (lambda: png(gradient())[:40], "bad_geometry"),
    "PNG of one grey": (lambda: png(np.zeros((40, 40), np.uint8)), "constant_image"),
    "JPEG without a frame": (lambda: b"\xff\xd8\xff\xd9" + b"\0" * 40, "decode"),
    "PGM without a size": (lambda: b"P5 nonsense", "decode"),
    "TIFF cut short": (lambda: b"II*\0\x08\0\0\0\x05\0", "truncated"),
}
UNSUPPORTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "tomosynthesis": (
        lambda: with_class("1.2.840.10008.5.1.4.1.1.13.1.3", NumberOfFrames=50),
        "tomosynthesis",
    ),
    "several frames": (lambda: with_elements(NumberOfFrames=3), "multi_frame"),
    "For Processing by class": (lambda: with_class("1.2.840.10008.5.1.4.1.1.1.2.1"), "for_processing"),
    "For Processing by intent": (
        lambda: with_elements(PresentationIntentType="FOR PROCESSING"),
        "for_processing",
    ),
    "CT": (lambda: with_class(uid.CTImageStorage), "wrong_sop_class"),
    "structured report": (lambda: with_class(uid.MammographyCADSRStorage, PixelData=None), "wrong_sop_class"),
    "ultrasound as secondary capture": (
        lambda: with_class("1.2.840.10008.5.1.4.1.1.7", Modality="US"),
        "wrong_modality",
    ),
    "colour": (colour_secondary_capture, "not_grayscale"),
    "DICOMDIR": (dicomdir, "dicomdir"),
    "MPEG": (lambda: with_syntax(uid.MPEG2MPML, b"\0" * 100), "transfer_syntax"),
    "12-bit lossy JPEG": (lambda: with_syntax(uid.JPEGExtended12Bit, b"\0" * 100), "transfer_syntax"),
    "made-up transfer syntax": (lambda: with_syntax(f"1.2.3.{PATIENT[4:]}", b"\0" * 100), "transfer_syntax"),
    "colour PNG": (real_colour, "not_grayscale"),
}


@pytest.mark.filterwarnings("ignore:End of file")
@pytest.mark.parametrize("name", UNREADABLE)
def test_a_damaged_or_dangerous_file_is_unreadable_for_a_stated_reason(name: str) -> None:
    make, code = UNREADABLE[name]
    with pytest.raises(UnreadableImage) as caught:
        read_mammogram(make())
    assert not isinstance(caught.value, UnsupportedImage)
    assert caught.value.code == code
    assert PATIENT not in str(caught.value)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_sound_file_of_another_kind_is_refused_by_name(name: str) -> None:
    make, code = UNSUPPORTED[name]
    with pytest.raises(UnsupportedImage) as caught:
        read_mammogram(make())
    assert caught.value.code == code
    assert PATIENT[4:] not in str(caught.value)


def test_the_display_twin_refuses_what_the_reader_refuses() -> None:
    with pytest.raises(UnsupportedImage) as caught:
        display_twin(with_class(uid.CTImageStorage))
    assert caught.value.code == "wrong_sop_class"


def test_a_file_beyond_the_limit_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.truncate(2**21)
    for source in (path, bytes(2**21)):
        with pytest.raises(UnreadableImage) as caught:
            read_mammogram(source, max_bytes=2**20)
        assert caught.value.code == "file_too_large"


@pytest.mark.parametrize("missing", ["nowhere.dcm", ".", "a\0b", "pipe", "/dev/zero"])
def test_a_path_that_is_no_file_is_unreadable(tmp_path: Path, missing: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableImage) as caught:
        read_mammogram(tmp_path / missing)
    assert caught.value.code == "unreadable_file"
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # pydicom's remarks about broken character sets
def test_any_flipped_or_missing_byte_gives_pixels_or_a_deliberate_error() -> None:
    rng = np.random.default_rng(7)
    whole = mammogram_file()
    outcomes = {"read": 0, "refused": 0}
    for _ in range(400):
        data = bytearray(whole)
        for at in rng.integers(0, 2000, 3):
            data[at] = rng.integers(0, 256)
        if rng.random() < 0.3:
            del data[rng.integers(100, len(data)) :]
        try:
            assert read_mammogram(bytes(data)).pixels.dtype == np.float32
            display_twin(bytes(data))
            outcomes["read"] += 1
        except UnreadableImage:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10


def test_no_value_of_the_patient_reaches_a_warning_or_the_log(
    recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    name = "SECRET" * 20  # longer than an ID may be: pydicom would quote it
    data = mammogram_file(patient_id="x" * len(name)).replace(b"x" * len(name), name.encode())
    assert name.encode() in data
    read_mammogram(data, patient_secret=b"key")
    assert "SECRET" not in caplog.text + "".join(str(warning.message) for warning in recwarn)
