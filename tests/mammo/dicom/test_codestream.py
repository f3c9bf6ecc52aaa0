from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from mammo.dicom.codestream import Frame, jpeg2000_frame, jpeg_frame
from mammo.geometry import Size
from tests.mammo.dicom.files import gradient

JPEG = cv2.imencode(".jpg", gradient(height=31, width=47, bits=8).astype("uint8"))[1].tobytes()
SIZ = b"\xff\x4f\xff\x51" + struct.pack(">HH", 41, 0) + struct.pack(">8L", 50, 40, 3, 9, 50, 40, 0, 0)
SIZ += struct.pack(">HB", 1, 0x80 | 11)
IN_JPEG, IN_JPEG_2000 = Frame(Size(47, 31), 8, 1), Frame(Size(47, 31), 12, 1)


def test_a_jpeg_tells_its_size_bits_and_components() -> None:
    assert jpeg_frame(JPEG) == IN_JPEG
    colour = cv2.imencode(".jpg", cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR))[1]
    assert jpeg_frame(colour.tobytes()) == Frame(Size(47, 31), 8, 3)


def test_a_jpeg_2000_tells_its_size_without_its_offset() -> None:
    assert jpeg2000_frame(SIZ) == IN_JPEG_2000
    assert jpeg2000_frame(b"\0\0\0\x0cjP  " + b"\0" * 80 + SIZ) == IN_JPEG_2000


@pytest.mark.parametrize("cut", range(0, 180, 7))
def test_a_cut_codestream_has_its_size_or_none_and_never_fails(cut: int) -> None:
    assert jpeg_frame(JPEG[:cut]) in (None, IN_JPEG)
    assert jpeg2000_frame(SIZ[:cut]) in (None, IN_JPEG_2000)


def test_an_empty_frame_has_no_size() -> None:
    assert jpeg2000_frame(SIZ[:8] + struct.pack(">LLLL", 3, 9, 3, 9) + SIZ[24:]) is None
