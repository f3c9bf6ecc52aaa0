from __future__ import annotations

import struct

import cv2
import pytest

from mammo.dicom.codestream import jpeg2000_size, jpeg_size
from mammo.geometry import Size
from tests.mammo.dicom.files import gradient

JPEG = cv2.imencode(".jpg", gradient(height=31, width=47, bits=8).astype("uint8"))[1].tobytes()
SIZ = b"\xff\x4f\xff\x51" + struct.pack(">HH", 41, 0) + struct.pack(">LLLL", 50, 40, 3, 9)


def test_a_jpeg_tells_its_size() -> None:
    assert jpeg_size(JPEG) == Size(47, 31)


def test_a_jpeg_2000_tells_its_size_without_its_offset() -> None:
    assert jpeg2000_size(SIZ) == Size(47, 31)
    assert jpeg2000_size(b"\0\0\0\x0cjP  " + b"\0" * 80 + SIZ) == Size(47, 31)


@pytest.mark.parametrize("cut", range(0, 180, 7))
def test_a_cut_codestream_has_its_size_or_none_and_never_fails(cut: int) -> None:
    assert jpeg_size(JPEG[:cut]) in (None, Size(47, 31))
    assert jpeg2000_size(SIZ[:cut]) in (None, Size(47, 31))


def test_an_empty_frame_has_no_size() -> None:
    assert jpeg2000_size(SIZ[:8] + struct.pack(">LLLL", 3, 9, 3, 9)) is None
