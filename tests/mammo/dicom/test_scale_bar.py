"""The scale bar: as long as it says, in the air only, and never in what a network reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from mammo.dicom import read_mammogram, write_mammogram
from mammo.dicom.scale_bar import GREY, MAX_AIR, TICK_MM, with_scale_bar
from mammo.exchange.importing import import_mammogram
from mammo.exchange.task_data import write_twin
from mammo.geometry import Spacing
from mammo.images.task_images import TaskImages
from mammo.phantom import phantom_view, vendor_a

SPACING = Spacing(0.1, 0.1, "imager")


def twin(height: int = 1200, width: int = 900, breast: int = 400) -> np.ndarray:
    """A breast at the left of an image, with some noise in the air."""
    image = np.zeros((height, width), np.uint8)
    image[::7, ::5] = MAX_AIR
    image[:, :breast] = 120
    return image


def line(drawn: np.ndarray, image: np.ndarray) -> tuple[int, int]:
    """Rows between which the bar's line runs, and the column of its right edge."""
    rows, columns = np.nonzero((drawn != image) & (drawn == GREY))
    on_line = rows[columns == columns.max()]
    return int(on_line.max() - on_line.min()), int(columns.max())


@pytest.mark.parametrize("row_mm", [0.05, 0.1, 0.07])
def test_the_bar_is_as_long_as_it_says_along_the_rows(row_mm: float) -> None:
    image = twin(height=round(120 / row_mm), width=round(90 / row_mm), breast=round(40 / row_mm))
    drawn = with_scale_bar(image, Spacing(row_mm, row_mm, "imager"))
    length, _ = line(drawn, image)
    assert length * row_mm == pytest.approx(50 + 0.6, abs=2 * row_mm)


def test_it_changes_air_only_and_leaves_the_twin_it_was_given() -> None:
    image = twin()
    before = image.copy()
    drawn = with_scale_bar(image, SPACING)
    assert (image == before).all()
    assert drawn.shape == image.shape
    assert (drawn[:, :400] == 120).all()
    assert (drawn[:, 400:] != image[:, 400:]).any()


def test_it_goes_where_there_is_air() -> None:
    image = twin()[:, ::-1].copy()
    image[600:] = 120
    drawn = with_scale_bar(image, SPACING)
    assert (drawn[:600, :500] != image[:600, :500]).any()
    assert (drawn[600:] == 120).all()


def test_a_small_place_gets_a_short_bar_and_none_gets_no_bar() -> None:
    image = twin()
    image[350:850] = 120
    length, _ = line(with_scale_bar(image, SPACING), image)
    assert length / 10 == pytest.approx(20 + 0.6, abs=0.2)
    full = np.full((1200, 900), 120, np.uint8)
    assert with_scale_bar(full, SPACING) is full
    assert with_scale_bar(full[:50, :50], SPACING).max() == 120


def test_there_is_a_tick_every_centimetre() -> None:
    image = twin()
    drawn = with_scale_bar(image, SPACING)
    _, right = line(drawn, image)
    ticks = np.flatnonzero(np.diff((drawn[:, right - 20] == GREY).astype(int)) == 1)
    assert set(np.diff(ticks)) == {TICK_MM / 0.1}


def test_without_a_spacing_there_is_none() -> None:
    image = twin()
    assert with_scale_bar(image, None) is image


def test_the_twin_of_an_import_has_it_and_what_the_networks_read_has_not(tmp_path) -> None:
    phantom = phantom_view(5, appearance=vendor_a(), width=640, height=832, spacing_mm=0.28)
    file = tmp_path / "view.dcm"
    write_mammogram(
        file,
        phantom.stored,
        laterality="L",
        view="CC",
        spacing_mm=phantom.spacing_mm,
        bits=phantom.bits,
        patient_id="PHANTOM-BAR",
    )
    before = read_mammogram(file).pixels
    data = import_mammogram(file, root=tmp_path, files=tmp_path, patient_secret=b"secret")
    seen = cv2.imread(str(tmp_path / "twins" / f"{data['sha256']}.png"), cv2.IMREAD_GRAYSCALE)
    assert seen is not None
    assert seen.shape == before.shape
    opened = TaskImages(root=tmp_path, downloads=None).open(data)
    assert np.array_equal(opened.pixels, before)
    bar = (seen == GREY) & (before < 0.05)
    assert bar.any(), "the phantom has air beside the breast"


def test_a_spacing_that_was_given_wrong_leaves_no_wrong_bar_behind(tmp_path: Path) -> None:
    image = twin()
    intake = cast(Any, SimpleNamespace(sha256="ab" * 32, twin=image, spacing=None))
    lengths = []
    for spacing in (None, Spacing(0.2, 0.2, "given"), SPACING):
        address = write_twin(intake, tmp_path, spacing=spacing)
        seen = cv2.imread(str(tmp_path / address.split("?d=")[1]), cv2.IMREAD_GRAYSCALE)
        assert seen is not None
        lengths.append(line(seen, image)[0] if spacing else int((seen != image).sum()))
    assert lengths == [0, pytest.approx(253, abs=2), pytest.approx(506, abs=2)]
