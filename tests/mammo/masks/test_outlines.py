"""mask_outline gives the mask back, with few vertices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from mammo.geometry import Point, Size
from mammo.masks import Mask
from mammo.masks.outlines import MIN_IOU, TARGET_VERTICES, mask_outline, without_holes
from mammo.masks.polygons import polygon_mask


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_holes_are_filled_as_scipy_fills_them(bitmap: npt.NDArray[np.bool_]) -> None:
    filled = without_holes(Mask(bitmap, 3, 2))
    assert (filled.x0, filled.y0) == (3, 2)
    np.testing.assert_array_equal(filled.bitmap, ndimage.binary_fill_holes(bitmap))


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_simplified_outline_keeps_every_part_and_fills_its_holes(bitmap: npt.NDArray[np.bool_]) -> None:
    for part in Mask(bitmap, 3, 2).components():
        filled = Mask(ndimage.binary_fill_holes(part.bitmap), part.x0, part.y0)
        drawn = polygon_mask(
            mask_outline(
                part, size=Size(30, 30), min_part=0.0, min_iou=MIN_IOU, target_vertices=TARGET_VERTICES
            ),
            size=Size(30, 30),
        )
        assert drawn is not None
        assert drawn.iou(filled) >= MIN_IOU


@given(st.integers(1, 60), st.floats(0.3, 1), st.floats(0, 3.2), st.floats(0, 1), st.floats(0, 1))
def test_a_blob_of_any_size_keeps_its_pixels_with_few_vertices(
    diameter: int, flat: float, angle: float, dx: float, dy: float
) -> None:
    y, x = np.mgrid[:80, :80] - 40.0
    u = (x - dx) * np.cos(angle) + (y - dy) * np.sin(angle)
    v = (y - dy) * np.cos(angle) - (x - dx) * np.sin(angle)
    mask = Mask.from_full((u**2 + (v / flat) ** 2) <= (diameter / 2) ** 2)
    assume(mask is not None)
    assert mask is not None
    outline = mask_outline(
        mask, size=Size(80, 80), min_part=0.0, min_iou=MIN_IOU, target_vertices=TARGET_VERTICES
    )
    drawn = polygon_mask(outline, size=Size(80, 80))
    assert drawn is not None
    assert drawn.iou(mask) >= MIN_IOU
    if len(mask.components()) == 1 and diameter > 10:
        assert len(outline) <= 2 * diameter


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.5, 0.9]))
def test_an_exact_outline_is_one_loop_that_covers_every_part_and_no_hole(seed: int, density: float) -> None:
    bitmap = np.random.default_rng(seed).random((17, 23)) < density
    mask = Mask(bitmap, 5, 9).tight()
    assume(mask is not None)
    assert mask is not None
    drawn = polygon_mask(
        mask_outline(mask, size=Size(60, 60), min_part=0.0, min_iou=1.0, target_vertices=None),
        size=Size(60, 60),
    )
    assert drawn is not None
    assert drawn.frame == mask.frame
    assert np.array_equal(drawn.bitmap, mask.bitmap)


def test_a_simplified_outline_leaves_crumbs_out_and_fills_holes() -> None:
    bitmap = np.zeros((60, 80), np.bool_)
    bitmap[5:45, 5:45], bitmap[20:30, 20:30] = True, False
    bitmap[5:25, 55:75] = True
    bitmap[55, 70] = True
    drawn = polygon_mask(
        mask_outline(
            Mask(bitmap, 0, 0),
            size=Size(80, 60),
            min_part=0.02,
            min_iou=MIN_IOU,
            target_vertices=TARGET_VERTICES,
        ),
        size=Size(80, 60),
    )
    assert drawn is not None
    assert drawn.holds(Point(25, 25))
    assert drawn.holds(Point(65, 15))
    assert not drawn.holds(Point(70, 55))
    assert not drawn.holds(Point(50, 15)), "the line between two parts covers nothing"
