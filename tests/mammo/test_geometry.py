import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.geometry import Box, Point, Size, Spacing

COORDINATE = st.integers(-200, 200)
SIDE = st.integers(1, 150)
BOXES = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), COORDINATE, COORDINATE, SIDE, SIDE)
SIZES = st.builds(Size, SIDE, SIDE)


def test_a_box_holds_its_first_pixel_and_not_its_last_corner():
    box = Box(2, 3, 5, 7)
    assert box.contains(Point(2, 3))
    assert not box.contains(Point(5, 6))
    assert not box.contains(Point(4, 7))
    assert (box.width, box.height, box.area) == (3, 4, 12)


@pytest.mark.parametrize("corners", [(3, 0, 3, 5), (0, 4, 5, 2)])
def test_an_empty_box_is_a_callers_mistake(corners):
    with pytest.raises(ValueError, match="x0 < x1"):
        Box(*corners)


def test_real_corners_grow_to_whole_pixels():
    assert Box.around(1.2, 2.0, 3.1, 4.0) == Box(1, 2, 4, 4)
    assert Box.around(1.0, 1.0, 1.0, 1.0) == Box(1, 1, 2, 2), "a degenerate rectangle is one pixel"


@given(BOXES, BOXES)
def test_iou_is_symmetric_and_one_only_for_equal_boxes(a, b):
    assert a.iou(b) == b.iou(a)
    assert 0.0 <= a.iou(b) <= 1.0
    assert (a.iou(b) == 1.0) == (a == b)


@given(BOXES, BOXES)
def test_intersection_lies_in_both_and_union_holds_both(a, b):
    common = a.intersection(b)
    whole = a.union(b)
    for box in (a, b):
        assert whole.union(box) == whole
        if common is not None:
            assert box.union(common) == box


@given(BOXES, SIZES)
def test_a_box_moved_into_an_image_lies_inside_and_keeps_its_sides_where_they_fit(box, size):
    moved = box.moved_into(size)
    assert moved.within(size) == moved
    assert moved.width == min(box.width, size.width)
    assert moved.height == min(box.height, size.height)


def test_a_box_outside_the_image_cannot_be_clipped():
    with pytest.raises(ValueError, match="outside an image"):
        Box(10, 10, 20, 20).within(Size(5, 5))


def test_millimetres_become_at_least_one_pixel():
    assert Spacing(0.07, 0.07, "imager").pixels(0.7) == 10
    assert Spacing(0.1, 0.1, "imager").pixels(0.01) == 1
