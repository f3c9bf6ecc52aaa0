"""A picture is read as it is seen: turned as its EXIF says."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mammo.dicom import display_twin, read_mammogram
from mammo.dicom.orientation import jpeg_orientation, png_orientation, upright
from mammo.errors import UnreadableImage
from mammo.geometry import Size
from mammo.images.task_images import TaskImages
from tests.mammo.dicom.exif import CONTRADICTORY, FILES, STORED, TURNED, app1, jpeg, seen_as, turn


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_is_read_is_what_another_program_shows(kind: str, orientation: int) -> None:
    data = FILES[f"{kind} {orientation}"]
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    mammogram = read_mammogram(data)
    read = mammogram.pixels * 255
    assert mammogram.turned == (orientation != 1)
    assert read.shape == shown.shape
    assert np.abs(read - shown).max() <= 1
    assert seen_as(display_twin(data)) == orientation


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_tiff_is_turned_too(orientation: int, depth: type) -> None:
    out = io.BytesIO()
    Image.fromarray(STORED.astype(depth)).save(out, "TIFF", tiffinfo={274: orientation})
    read = read_mammogram(out.getvalue()).pixels * np.iinfo(depth).max
    np.testing.assert_array_equal(np.round(read), TURNED[orientation])


@pytest.mark.parametrize(
    "name", ["JPEG 0", "JPEG 9", "PNG 0", "PNG 9", "cut in the entry", "directory outside"]
)
def test_an_orientation_that_is_none_turns_nothing(name: str) -> None:
    assert seen_as(read_mammogram(FILES[name]).pixels * 255) == 1


@pytest.mark.parametrize("name", CONTRADICTORY)
def test_a_png_that_programs_turn_differently_is_refused(name: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        read_mammogram(CONTRADICTORY[name])
    assert caught.value.code == "orientation"


def test_a_task_on_its_side_has_the_size_that_its_annotator_sees(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg(app1(turn(8))))
    mammogram = TaskImages(root=tmp_path, downloads=None).open({"mammogram": "photo.jpg"})
    assert mammogram.size == Size(48, 32)


@pytest.mark.parametrize("orientation", TURNED)
def test_turning_moves_every_pixel_to_its_place(orientation: int) -> None:
    np.testing.assert_array_equal(upright(STORED, orientation), TURNED[orientation])
    in_colour = upright(np.dstack([STORED, STORED // 2]), orientation)
    np.testing.assert_array_equal(in_colour[:, :, 1], TURNED[orientation] // 2)


@given(st.binary(max_size=80))
def test_any_exif_at_all_gives_one_of_eight_orientations(block: bytes) -> None:
    for data in (jpeg(app1(block)), jpeg(app1(b"II*\0" + block)), jpeg(app1(b"MM\0*\0\0\0\x08" + block))):
        assert 1 <= jpeg_orientation(data) <= 8


def test_a_png_cut_anywhere_is_refused() -> None:
    data = FILES["PNG 6"]
    for length in range(33, len(data)):
        with pytest.raises(UnreadableImage):
            read_mammogram(data[:length])


def test_a_picture_of_nothing_but_segments_is_looked_at_for_a_moment_only() -> None:
    began = time.process_time()
    assert jpeg_orientation(b"\xff\xd8" + b"\xff\xe1\0\2" * 8_000_000) == 1
    assert png_orientation(b"\x89PNG\r\n\x1a\n" + bytes(12) * 4_000_000) == 1
    assert time.process_time() - began < 3
