"""polygon_mask fills exactly the pixels whose centres are inside; mask_polygons gives the mask back."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mammo.geometry import Size
from mammo.masks import Mask
from mammo.polygons import LEAST_IOU, mask_polygons, polygon_mask, polygons_mask

SIZE = Size(20, 16)
corner = st.tuples(st.floats(-5, 25), st.floats(-5, 21))


@given(st.lists(corner, min_size=3, max_size=8))
def test_a_pixel_is_set_when_its_centre_is_inside_by_the_even_odd_rule(
    corners: list[tuple[float, float]],
) -> None:
    vertices = np.array(corners, np.float32)
    assume(float(np.ptp(vertices, axis=0).min()) > 0.5)
    mask = polygon_mask(vertices.astype(np.float64), size=SIZE)
    full = mask.full(SIZE) if mask else np.zeros((SIZE.height, SIZE.width), np.uint8)
    for y in range(SIZE.height):
        for x in range(SIZE.width):
            inside = cv2.pointPolygonTest(vertices, (x + 0.5, y + 0.5), False)
            near = abs(cv2.pointPolygonTest(vertices, (x + 0.5, y + 0.5), True)) < 1e-2
            assert near or bool(full[y, x]) == (inside > 0)


def test_a_polygon_beside_the_image_or_between_pixel_centres_is_no_mask() -> None:
    beside = np.array([[30.0, 1.0], [40.0, 1.0], [35.0, 9.0]])
    sliver = np.array([[3.6, 3.6], [4.4, 3.6], [4.0, 4.4]])
    assert polygon_mask(beside, size=SIZE) is None
    assert polygon_mask(sliver, size=SIZE) is None


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_simplified_polygons_keep_every_part(bitmap: npt.NDArray[np.bool_]) -> None:
    mask = Mask(bitmap, 3, 2)
    size = Size(30, 30)
    for part in mask.components():
        painted = polygons_mask(mask_polygons(part), size=size)
        assert painted is not None
        assert painted.iou(part) >= LEAST_IOU


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
    polygons = mask_polygons(mask)
    painted = polygons_mask(polygons, size=Size(80, 80))
    assert painted is not None
    assert painted.iou(mask) >= LEAST_IOU
    if len(mask.components()) == 1 and diameter > 10:
        (polygon,) = polygons
        assert len(polygon.vertices) <= 2 * diameter


def test_a_ring_is_an_outline_and_a_hole() -> None:
    y, x = np.mgrid[:40, :40] - 20.0
    ring = Mask.from_full((np.hypot(x, y) <= 15) & (np.hypot(x, y) >= 6))
    assert ring is not None
    polygons = mask_polygons(ring)
    assert [polygon.hole for polygon in polygons] == [False, True]
    painted = polygons_mask(polygons, size=Size(40, 40))
    assert painted is not None
    assert painted.iou(ring) >= LEAST_IOU
