from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.detector.resample import MAX_COARSER, MAX_FINER, Scale, resample, scale_to
from mammo.geometry import Size, Spacing

LIMIT = 64 * 2**20


def spacing(row_mm: float, column_mm: float | None = None) -> Spacing:
    return Spacing(row_mm, column_mm or row_mm, "given")


@pytest.mark.parametrize("pitch", [None, 0.05, 0.065, 0.07, 0.085, 0.0941, 0.1])
def test_unknown_spacing_and_that_of_direct_detectors_leave_an_image_as_it_is(pitch: float | None) -> None:
    size = Size(2560, 3328)
    scale = scale_to(0.07, spacing=spacing(pitch) if pitch else None, size=size, max_pixels=LIMIT)
    assert scale == Scale(size)
    pixels = np.zeros((4, 4), np.float32)
    assert resample(pixels, scale) is pixels


def test_a_film_scan_is_brought_to_the_trained_spacing_by_millimetres() -> None:
    scale = scale_to(0.07, spacing=spacing(0.2), size=Size(900, 1200), max_pixels=LIMIT)
    assert scale.x == pytest.approx(0.2 / 0.07, rel=1e-3)
    assert scale.size.height * 0.07 == pytest.approx(1200 * 0.2, abs=0.1)


def test_pixels_that_are_not_square_become_square() -> None:
    scale = scale_to(0.07, spacing=spacing(0.14, 0.07), size=Size(400, 300), max_pixels=LIMIT)
    assert scale.size == Size(400, 600)


@given(
    rows=st.floats(0.001, 5),
    columns=st.floats(0.001, 5),
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
)
def test_no_spacing_makes_more_pixels_than_the_limit_or_none(
    rows: float, columns: float, width: int, height: int
) -> None:
    size = Size(width, min(height, LIMIT // width))
    scale = scale_to(0.07, spacing=spacing(rows, columns), size=size, max_pixels=LIMIT)
    assert 1 <= scale.size.width * scale.size.height <= LIMIT
    assert scale.x <= MAX_FINER
    assert scale.y <= MAX_FINER
    assert scale.x * size.width == pytest.approx(scale.size.width)
    assert scale.size.width >= int(size.width / MAX_COARSER * 0.2)


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_a_resampled_image_keeps_its_grey_levels_and_its_range(factor: float) -> None:
    size = Size(400, 300)
    pixels = np.random.default_rng(0).choice([0.0, 1.0], (300, 400)).astype(np.float32)
    seen = resample(pixels, scale_to(0.07, spacing=spacing(0.07 * factor), size=size, max_pixels=LIMIT))
    assert seen.dtype == np.float32
    assert seen.shape == (round(300 * factor), round(400 * factor))
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert seen.mean() == pytest.approx(pixels.mean(), abs=0.01)
