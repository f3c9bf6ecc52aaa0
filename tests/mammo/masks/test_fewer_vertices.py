"""with_fewer_vertices takes surplus vertices away and keeps what the outline encloses."""

from __future__ import annotations

import numpy as np
import pytest

from mammo.geometry import Size
from mammo.masks import Mask
from mammo.masks.fewer_vertices import with_fewer_vertices
from mammo.masks.outlines import MIN_IOU, TARGET_VERTICES, mask_outline
from mammo.masks.polygons import polygon_mask

SIZE = Size(300, 300)


def lobed(seed: int) -> Mask:
    """A blob whose radius is a random series of six cosines."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:300, :300] - 150.0
    angle = np.arctan2(y, x)
    radius = 70 + sum(
        random.uniform(0, 14) / k * np.cos(k * angle + random.uniform(0, 6.28)) for k in range(1, 7)
    )
    mask = Mask.from_full(np.hypot(x, y) <= radius)
    assert mask is not None
    return mask


@pytest.mark.parametrize("seed", range(8))
def test_an_outline_never_has_more_vertices_than_before_and_keeps_the_overlap(seed: int) -> None:
    mask = lobed(seed)
    before = mask_outline(mask, size=SIZE, min_part=0.0, min_iou=MIN_IOU, target_vertices=None)
    after = with_fewer_vertices(before, mask, size=SIZE, target_vertices=10, min_iou=MIN_IOU)
    drawn = polygon_mask(after, size=SIZE)
    assert drawn is not None
    assert drawn.iou(mask) >= MIN_IOU
    assert len(after) <= len(before)


@pytest.mark.parametrize(("seed", "target_vertices"), [(1, 7), (3, 6), (6, 8), (10, 7)])
def test_no_vertex_leaves_an_image_whose_edge_cuts_the_mask(seed: int, target_vertices: int) -> None:
    """Beyond the edge nothing is drawn, so a vertex there would cost no IoU."""
    size = Size(150, SIZE.height)
    cut = Mask.from_full(lobed(seed).full(SIZE)[:, -size.width :])
    assert cut is not None
    before = mask_outline(cut, size=size, min_part=0.0, min_iou=MIN_IOU, target_vertices=None)
    after = with_fewer_vertices(before, cut, size=size, target_vertices=target_vertices, min_iou=MIN_IOU)
    assert len(after) < len(before)
    assert (after >= 0).all()
    assert (after <= (size.width, size.height)).all()


def test_vertices_that_are_not_needed_go_until_there_are_few_enough() -> None:
    mask = Mask(np.ones((40, 60), np.bool_), 20, 30)
    corners = np.array([[20, 30], [50, 30], [80, 30], [80, 50], [80, 70], [20, 70]], np.float64)
    after = with_fewer_vertices(corners, mask, size=SIZE, target_vertices=4, min_iou=0.99)
    assert sorted(map(tuple, after.tolist())) == [(20, 30), (20, 70), (80, 30), (80, 70)]


def test_an_outline_that_needs_its_vertices_keeps_them() -> None:
    y, x = np.mgrid[:300, :300] - 150.0
    radius = 90 + 40 * np.cos(10 * np.arctan2(y, x))
    star = Mask.from_full(np.hypot(x, y) <= radius)
    assert star is not None
    before = mask_outline(star, size=SIZE, min_part=0.0, min_iou=MIN_IOU, target_vertices=None)
    after = mask_outline(star, size=SIZE, min_part=0.0, min_iou=MIN_IOU, target_vertices=TARGET_VERTICES)
    assert len(before) > TARGET_VERTICES
    np.testing.assert_array_equal(after, before)
