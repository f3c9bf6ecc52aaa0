import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mammo.geometry import Box, Point, Size
from mammo.masks import Mask, union

FULL = hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 1))


def disc(x: int, y: int, radius: int, size: Size) -> Mask:
    rows, columns = np.mgrid[: size.height, : size.width]
    mask = Mask.from_full((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)
    assert mask is not None
    return mask


@given(FULL)
def test_cutting_out_and_pasting_back_changes_nothing(full):
    mask = Mask.from_full(full)
    if mask is None:
        assert not full.any()
    else:
        assert np.array_equal(mask.full(Size(full.shape[1], full.shape[0])), full)


@given(FULL)
def test_coco_rle_round_trip(full):
    mask = Mask.from_full(full)
    if mask is None:
        return
    rle = mask.to_coco(Size(full.shape[1], full.shape[0]))
    assert rle["size"] == list(full.shape)
    back = Mask.from_coco(rle)
    assert back is not None
    assert np.array_equal(back.full(Size(full.shape[1], full.shape[0])), full)


def test_coco_rle_of_nothing_is_no_mask_and_of_everything_the_whole_image():
    nothing, everything = Mask(np.zeros((3, 5), bool), 0, 0), Mask(np.ones((3, 5), bool), 0, 0)
    assert Mask.from_coco(nothing.to_coco(Size(5, 3))) is None
    back = Mask.from_coco(everything.to_coco(Size(5, 3)))
    assert back is not None
    assert (back.frame, back.area) == (Box(0, 0, 5, 3), 15)


@given(FULL, FULL)
def test_dice_equals_its_definition_on_full_arrays(a, b):
    height, width = max(a.shape[0], b.shape[0]), max(a.shape[1], b.shape[1])
    full = [np.pad(m, ((0, height - m.shape[0]), (0, width - m.shape[1]))).astype(bool) for m in (a, b)]
    masks = [Mask.from_full(m) for m in full]
    if masks[0] is None or masks[1] is None:
        return
    both = (full[0] & full[1]).sum()
    assert masks[0].dice(masks[1]) == pytest.approx(2 * both / (full[0].sum() + full[1].sum()))
    assert masks[0].iou(masks[1]) == pytest.approx(both / (full[0] | full[1]).sum())


@given(FULL)
def test_components_are_disjoint_and_add_up(full):
    mask = Mask.from_full(full)
    if mask is None:
        return
    parts = mask.components()
    assert sum(part.area for part in parts) == mask.area
    assert np.array_equal(union(parts).full(Size(full.shape[1], full.shape[0])), full)
    assert [p.area for p in parts] == sorted((p.area for p in parts), reverse=True)


def test_the_parts_at_some_pixels_are_whole_and_no_others():
    full = np.zeros((20, 30), np.bool_)
    full[2:6, 3:8] = full[2:4, 20:28] = full[12:18, 5:6] = True
    mask = Mask.from_full(full)
    assert mask is not None
    first, second = Point(4, 5), Point(21, 3)
    assert mask.holds(first)
    assert not mask.holds(Point(15, 5))
    assert not mask.holds(Point(-1, 400))
    both = mask.parts_at([first, second, Point(15, 5)])
    assert both is not None
    assert both.area == 20 + 16
    assert both.frame == Box(3, 2, 28, 6)
    assert mask.parts_at([Point(15, 5)]) is None
    assert mask.parts_at([]) is None


def test_pasting_over_the_border_cuts_off_what_lies_outside():
    full = np.zeros((4, 4), np.uint8)
    Mask(np.ones((3, 3), np.bool_), 2, -1).paste(full)
    assert full.sum() == 4
    assert full[:2, 2:].all()


def test_the_part_inside_a_box_is_tight():
    mask = disc(20, 20, 8, Size(64, 64))
    part = mask.within(Box(20, 0, 64, 64))
    assert part is not None
    assert part.frame == Box(20, 12, 29, 29)
    assert mask.within(Box(50, 50, 60, 60)) is None


def test_the_outline_runs_around_the_largest_part():
    both = union([disc(10, 10, 3, Size(64, 64)), disc(40, 40, 9, Size(64, 64))])
    assert both is not None
    outline = both.outline()
    assert Point(40, 31) in outline
    assert all(point.x > 20 for point in outline)


def test_a_mask_is_two_dimensional_and_boolean():
    with pytest.raises(ValueError, match="2-D bool"):
        Mask(np.ones((3, 3), np.uint8), 0, 0)  # type: ignore[arg-type]
