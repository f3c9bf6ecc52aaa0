"""polygon_mask fills exactly the pixels whose centres are inside."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from mammo.geometry import Size
from mammo.masks.polygons import polygon_mask

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
