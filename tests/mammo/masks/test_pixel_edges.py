from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco
from scipy import ndimage

from mammo.geometry import Size
from mammo.masks import Mask
from mammo.masks.pixel_edges import edge_polygons, single_outline
from mammo.masks.polygons import polygon_mask


def painted(polygons: list[list[int]], shape: tuple[int, int]) -> Any:
    if not polygons:
        return np.zeros(shape, np.uint8)
    return coco.decode(coco.merge(coco.frPyObjects(polygons, *shape)))


@settings(max_examples=200)
@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_painting_the_polygons_gives_the_mask_back_with_its_holes_filled(bitmap: Any) -> None:
    mask = Mask(bitmap, 3, 2)
    whole = np.zeros((20, 20), np.bool_)
    whole[2 : 2 + bitmap.shape[0], 3 : 3 + bitmap.shape[1]] = bitmap
    # air that touches the outside at a corner only is air: pixels that touch at a corner are not joined
    filled = ndimage.binary_fill_holes(whole, structure=np.ones((3, 3)))
    np.testing.assert_array_equal(painted(edge_polygons(mask), (20, 20)), filled)


@settings(max_examples=200)
@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(np.any))
def test_one_outline_of_all_parts_and_holes_gives_exactly_the_mask_back(bitmap: Any) -> None:
    mask = Mask(bitmap, 3, 2)
    corners = single_outline(mask)
    assert corners[0] == corners[-1]
    assert all(one[0] == other[0] or one[1] == other[1] for one, other in itertools.pairwise(corners))
    back = polygon_mask(np.array(corners, np.float64), size=Size(20, 20))
    assert back is not None
    np.testing.assert_array_equal(back.full(Size(20, 20)), mask.full(Size(20, 20)))


def test_a_rectangle_has_four_corners() -> None:
    assert edge_polygons(Mask(np.ones((2, 3), np.bool_), 10, 20)) == [[10, 20, 13, 20, 13, 22, 10, 22]]


def test_pixels_that_touch_at_a_corner_are_two_outlines() -> None:
    assert len(edge_polygons(Mask(np.eye(2, dtype=np.bool_), 0, 0))) == 2
