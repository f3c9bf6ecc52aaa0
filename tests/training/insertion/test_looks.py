from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.geometry import Box
from mammo.pixels import Pixels
from training.insertion.looks import FILM_SPACING_MM, Look, digitise, expose, sample_look


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def plain(**changes: Any) -> Look:
    """A look that changes nothing."""
    look = Look(
        medium="digital",
        spacing_mm=0.1,
        zoom=1.0,
        blur_mm=0.0,
        gamma=1.0,
        gain=1.0,
        base=0.0,
        grain=0.0,
        grain_px=0.0,
        sharpening=0.0,
        jpeg=0,
        levels=4096,
        turns=0,
        mirrored=False,
    )
    return replace(look, **changes)


def square(box: Box, *, width: int = 300, height: int = 200) -> Pixels:
    pixels = np.zeros((height, width), np.float32)
    pixels[box.slices] = 0.5
    return pixels


def test_a_look_that_changes_nothing_changes_nothing() -> None:
    pixels = square(Box(40, 60, 120, 100))
    exposed = expose(pixels, plain(), spacing_mm=0.1, rng=rng())
    np.testing.assert_array_equal(exposed, pixels)


@given(
    turns=st.integers(0, 3),
    mirrored=st.booleans(),
    zoom=st.floats(0.6, 1.6),
    x=st.integers(0, 200),
    y=st.integers(0, 120),
)
@settings(deadline=None, max_examples=40)
def test_a_box_moves_with_the_pixels(turns: int, mirrored: bool, zoom: float, x: int, y: int) -> None:
    look = plain(turns=turns, mirrored=mirrored, zoom=zoom)
    box = Box(x, y, x + 60, y + 40)
    moved = look.placed(square(box), spacing_mm=0.1)
    placed = look.placed_box(box, Box(0, 0, 300, 200), spacing_mm=0.1)
    rows, columns = np.nonzero(moved > 0.25)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.array(edges) - placed.as_tuple()).max() <= 2


def test_film_has_its_own_spacing_and_256_grey_levels() -> None:
    look = sample_look(rng(), medium="film", spacing_mm=0.07)
    assert look.spacing_mm == FILM_SPACING_MM
    pixels = np.random.default_rng(1).uniform(0.1, 0.9, (400, 400)).astype(np.float32)
    taken = digitise(expose(pixels, look, spacing_mm=0.07, rng=rng()), look)
    assert taken.shape[0] == pytest.approx(400 * 0.07 / 0.2 * look.zoom, abs=1)
    assert len(np.unique(taken)) <= 256
    assert taken.dtype == np.float32
    assert 0 <= taken.min() <= taken.max() <= 1


def test_air_has_no_grain_and_tissue_has() -> None:
    pixels = square(Box(0, 0, 150, 200))
    exposed = expose(pixels, plain(grain=0.02, base=0.05), spacing_mm=0.1, rng=rng())
    assert not exposed[:, 150:].any()
    assert exposed[:, :150].std() == pytest.approx(0.02, rel=0.1)
    assert exposed[:, :150].min() > 0.05


def test_a_low_quality_compresses_more() -> None:
    pixels = np.random.default_rng(1).uniform(0.3, 0.6, (64, 64)).astype(np.float32)
    errors = [np.abs(digitise(pixels, plain(jpeg=quality)) - pixels).mean() for quality in (97, 40)]
    assert errors[1] > 2 * errors[0]
