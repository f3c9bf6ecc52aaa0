from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from mammo.errors import UnsupportedImage
from mammo.exchange.datasets.masks import read_mask
from mammo.geometry import Size
from tests.mammo.exchange.datasets.miniatures import mask_film

SIZE = Size(24, 30)
LESION = np.zeros((30, 24), np.uint8)
LESION[3:9, 5:11] = 1
LESION[20:24, 14:19] = 2
ON = (LESION > 0).astype(np.uint8)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0]


def palette(numbers: npt.NDArray[np.uint8], colours: list[int], **options: Any) -> Image.Image:
    image = Image.fromarray(numbers).convert("L")
    named = Image.frombytes("P", image.size, image.tobytes())
    named.putpalette(colours)
    return named


def rgba(colour: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.dstack([colour] * 3 + [alpha]))


READ = {
    "0, 1, 2": Image.fromarray(LESION),
    "0 and 255": Image.fromarray(ON * 255),
    "1 bit": Image.fromarray(ON > 0),
    "16 bit": Image.fromarray(ON.astype(np.uint16) * 300),
    "16 bit, 0 and 1": Image.fromarray(ON.astype(np.uint16)),
    "palette": palette(LESION, VOC),
    "palette of 256 colours": palette(LESION, VOC + [7] * 759),
    "colour on black": Image.fromarray(np.stack([ON * 51, ON * 221, ON * 255], -1)),
    "blue on black": Image.fromarray(np.stack([ON * 0, ON * 0, ON * 1], -1)),
    "opaque alpha": rgba(ON * 255, np.full_like(ON, 255)),
    "white, lesion in alpha": rgba(np.full_like(ON, 255), ON * 255),
    "black, lesion in alpha": rgba(np.zeros_like(ON), ON * 90),
    "red on transparent black": rgba(ON * 200, ON * 128),
    "grey and alpha": Image.merge("LA", [Image.fromarray(np.full_like(ON, 255)), Image.fromarray(ON * 255)]),
}


NOT_AS_TIFF = {"palette", "palette of 256 colours", "grey and alpha"}


@pytest.mark.parametrize("name", READ)
def test_a_lesion_is_read_however_a_tool_writes_it(tmp_path: Path, name: str) -> None:
    READ[name].save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", size=SIZE), ON > 0)
    READ[name].save(tmp_path / "m.tif")
    if name in NOT_AS_TIFF:
        with pytest.raises(UnsupportedImage, match="save it as PNG"):
            read_mask(tmp_path / "m.tif", size=SIZE)
    else:
        np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", size=SIZE), ON > 0)


def test_a_mask_in_dicom_is_read(tmp_path: Path) -> None:
    for value in (1, 255):
        mask_film(tmp_path / "m.dcm", ON * np.uint8(value))
        np.testing.assert_array_equal(read_mask(tmp_path / "m.dcm", size=SIZE), ON > 0)
    mask_film(tmp_path / "m.dcm", ON * np.uint8(0))
    assert not read_mask(tmp_path / "m.dcm", size=SIZE).any()
    mask_film(tmp_path / "m.dcm", np.full_like(ON, 255))
    with pytest.raises(ValueError, match="whole image"):
        read_mask(tmp_path / "m.dcm", size=SIZE)


NONE = {
    "grey": Image.fromarray(ON * 0),
    "1 bit": Image.fromarray(ON > 9),
    "16 bit": Image.fromarray(ON.astype(np.uint16) * 0),
    "colour": Image.fromarray(np.dstack([ON * 0] * 3)),
    "palette": palette(ON * 0, VOC),
    "opaque alpha": rgba(ON * 0, np.full_like(ON, 255)),
}


@pytest.mark.parametrize("name", NONE)
def test_zeros_everywhere_are_no_lesion(tmp_path: Path, name: str) -> None:
    NONE[name].save(tmp_path / "m.png")
    assert not read_mask(tmp_path / "m.png", size=SIZE).any()


FULL = np.full_like(ON, 255)
REFUSED = {
    "255 everywhere": (Image.fromarray(FULL), "whole image"),
    "1 everywhere": (Image.fromarray(FULL // 255), "whole image"),
    "white everywhere, in colour": (Image.fromarray(np.dstack([FULL] * 3)), "whole image"),
    "opaque white": (rgba(FULL, FULL), "whole image"),
    "transparent": (rgba(FULL, ON * 0), "transparent everywhere"),
    "may be inverted": (Image.fromarray(255 - ON * 255), "may be inverted"),
    "white on coloured": (rgba(ON * 200, 255 - ON * 255), "mean different lesions"),
    "a colour for number 0": (palette(LESION, [9, 9, 9, 128, 0, 0, 0, 128, 0]), "palette"),
    "black for number 2": (palette(LESION, [0, 0, 0, 128, 0, 0, 0, 0, 0]), "palette"),
    "black for every number": (palette(LESION, [0] * 9), "palette"),
    "another size": (Image.fromarray(ON[:-1]), "another size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_or_covers_all_is_refused(tmp_path: Path, name: str) -> None:
    image, reason = REFUSED[name]
    image.save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=reason):
        read_mask(tmp_path / "m.png", size=SIZE)


def test_a_jpeg_is_no_mask_whatever_it_is_called(tmp_path: Path) -> None:
    Image.fromarray(ON * 255).save(tmp_path / "m.png", format="JPEG")
    with pytest.raises(ValueError, match="JPEG"):
        read_mask(tmp_path / "m.png", size=SIZE)


@given(
    arrays.arrays(np.uint8, (30, 24), elements=st.sampled_from([0, 0, 0, 1, 2])),
    st.sampled_from(["L", "P", "RGBA"]),
)
def test_what_is_painted_comes_back_or_is_refused_and_is_never_nothing(
    tmp_path_factory: pytest.TempPathFactory, numbers: npt.NDArray[np.uint8], mode: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "painted.png"
    painted = (numbers > 0).astype(np.uint8)
    image = {
        "L": lambda: Image.fromarray(numbers),
        "P": lambda: palette(numbers, VOC),
        "RGBA": lambda: rgba(np.full_like(painted, 255), painted * 255),
    }[mode]()
    image.save(file)
    try:
        bitmap = read_mask(file, size=SIZE)
    except ValueError:
        assert painted.mean() > 0.5 or (mode == "RGBA" and not painted.any())
    else:
        np.testing.assert_array_equal(bitmap, painted > 0)
