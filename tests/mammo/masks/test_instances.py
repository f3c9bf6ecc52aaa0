import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mammo.geometry import Spacing
from mammo.masks import Mask, union
from mammo.masks.instances import GAP_MM, MAX_INSTANCES, calcifications

SMALLEST_MM = 0.1
FINE = Spacing(0.05, 0.05, "imager")
BITMAPS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 16), st.integers(1, 16)))


def dots(*places: tuple[int, int, int]) -> Mask:
    """Squares: x, y, side."""
    bitmap = np.zeros((80, 80), np.bool_)
    for x, y, side in places:
        bitmap[y : y + side, x : x + side] = True
    return Mask(bitmap, 100, 200)


def test_each_calcification_is_an_instance_largest_first():
    parts = calcifications(
        dots((5, 5, 4), (30, 30, 6), (60, 10, 5)), spacing=FINE, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM
    )
    assert [part.frame.as_tuple() for part in parts] == [
        (130, 230, 136, 236),
        (160, 210, 165, 215),
        (105, 205, 109, 209),
    ]


def test_what_is_smaller_than_a_tenth_of_a_millimetre_is_noise():
    mask = dots((5, 5, 1), (30, 30, 2))
    assert len(calcifications(mask, spacing=FINE, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM)) == 1
    assert (
        len(
            calcifications(
                mask, spacing=Spacing(0.1, 0.1, "imager"), min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM
            )
        )
        == 2
    )


def test_parts_a_tenth_of_a_millimetre_apart_are_one_and_no_pixel_is_added():
    near = dots((10, 10, 4), (16, 10, 4))
    (one,) = calcifications(near, spacing=FINE, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM)
    assert one.area == near.area
    assert len(calcifications(near, spacing=FINE, gap_mm=0, min_diameter_mm=SMALLEST_MM)) == 2
    assert (
        len(
            calcifications(
                dots((10, 10, 4), (20, 10, 4)), spacing=FINE, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM
            )
        )
        == 2
    )


def test_the_gap_is_measured_along_each_axis_of_pixels_that_are_not_square():
    flat = Spacing(0.05, 0.2, "imager")  # 0.1 mm: two pixels down, none across
    down, across = dots((10, 10, 4), (10, 16, 4)), dots((10, 10, 4), (16, 10, 4))
    assert len(calcifications(down, spacing=flat, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM)) == 1
    assert len(calcifications(across, spacing=flat, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM)) == 2
    wide = Spacing(0.2, 0.05, "imager")
    assert len(calcifications(down, spacing=wide, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM)) == 2
    assert len(calcifications(across, spacing=wide, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM)) == 1


def test_the_smallest_part_is_told_by_its_area_in_mm():
    flat = Spacing(0.05, 0.2, "imager")
    assert (
        len(calcifications(dots((5, 5, 1)), spacing=flat, min_diameter_mm=SMALLEST_MM, gap_mm=GAP_MM)) == 1
    )  # 0.01 square mm
    assert len(calcifications(dots((5, 5, 1)), spacing=flat, min_diameter_mm=0.12, gap_mm=GAP_MM)) == 0


@given(BITMAPS, st.sampled_from([0.05, 0.1, 0.5]))
def test_instances_are_disjoint_parts_of_the_mask(bitmap, mm):
    mask = Mask(bitmap, 3, 4)
    parts = calcifications(mask, spacing=Spacing(mm, mm, "imager"), min_diameter_mm=0, gap_mm=GAP_MM)
    assert sum(part.area for part in parts) == mask.area
    whole = union(parts)
    if whole is not None:
        assert whole.intersection_area(mask) == mask.area


def test_a_mask_of_salt_is_bounded():
    bitmap = np.zeros((200, 200), np.bool_)
    bitmap[::4, ::4] = True
    assert (
        len(
            calcifications(
                Mask(bitmap, 0, 0),
                spacing=Spacing(0.2, 0.2, "imager"),
                min_diameter_mm=SMALLEST_MM,
                gap_mm=GAP_MM,
            )
        )
        == MAX_INSTANCES
    )
