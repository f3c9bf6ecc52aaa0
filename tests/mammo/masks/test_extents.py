import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mammo.geometry import Box, Spacing
from mammo.masks import Mask
from mammo.masks.extents import boundary, bounding_box, coordinates, extent

BITMAPS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 16), st.integers(1, 16)))


@given(BITMAPS)
def test_the_coordinate_set_is_equation_12(bitmap):
    points = {(x, y) for x, y in coordinates(Mask(bitmap, 5, 9)).tolist()}
    by_definition = {
        (x + 5, y + 9) for y in range(bitmap.shape[0]) for x in range(bitmap.shape[1]) if bitmap[y, x]
    }
    assert points == by_definition


@given(BITMAPS)
def test_minima_and_maxima_give_the_masks_own_box(bitmap):
    assume(bitmap.any())
    mask = Mask(bitmap, 5, 9)
    assert bounding_box(coordinates(mask)) == mask.box


@given(BITMAPS)
def test_the_boundary_is_what_has_a_neighbour_outside(bitmap):
    pixels = {(x, y) for x, y in boundary(Mask(bitmap, 5, 9)).tolist()}
    padded = np.pad(bitmap, 1)
    for y, x in np.argwhere(bitmap):
        around = (padded[y, x + 1], padded[y + 2, x + 1], padded[y + 1, x], padded[y + 1, x + 2])
        assert ((x + 5, y + 9) in pixels) == (not all(around))
    assert len(pixels) <= bitmap.sum()


def test_sizes_are_in_millimetres_along_each_axis():
    measured = extent(Mask(np.ones((30, 40), np.bool_), 7, 8), spacing=Spacing(0.1, 0.05, "imager"))
    assert measured.area_pixels == 1200
    assert measured.box == Box(7, 8, 47, 38)
    assert measured.area_mm2 == pytest.approx(6)
    assert (measured.width_mm, measured.height_mm) == (pytest.approx(2), pytest.approx(3))
    assert measured.longest_mm == pytest.approx(np.hypot(2, 3))


def test_without_a_spacing_sizes_are_in_pixels_only():
    measured = extent(Mask(np.ones((3, 4), np.bool_), 0, 0), spacing=None)
    assert (measured.area_mm2, measured.width_mm, measured.height_mm, measured.longest_mm) == (None,) * 4


def test_an_empty_mask_has_no_extent():
    with pytest.raises(ValueError, match="empty"):
        extent(Mask(np.zeros((3, 4), np.bool_), 0, 0), spacing=None)
