import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.geometry import Box, Spacing
from mammo.readings.matching import match
from tests.mammo.readings.drawing import boxed, point

corner = st.integers(0, 60)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), corner, corner, st.integers(1, 30), st.integers(1, 30)
)
readings = st.lists(boxes, max_size=5).map(lambda drawn: [boxed(*box.as_tuple()) for box in drawn])


MM = Spacing(0.1, 0.1, "given")


def pairs(first, second, *, min_iou=0.1, centres=True, spacing=MM):
    return match(first, second, min_iou=min_iou, match_centres=centres, spacing=spacing)


def similarity(first, second, matched):
    return sum(max(first[a].box.iou(second[b].box), 1e-3) for a, b in matched)


def test_the_same_lesion_is_matched_and_a_lesion_far_away_is_not():
    first = [boxed(0, 0, 10, 10), boxed(50, 50, 60, 60)]
    second = [boxed(80, 80, 90, 90), boxed(1, 1, 11, 11)]
    assert pairs(first, second) == [(0, 1)]


def test_a_small_box_inside_a_large_one_is_matched_by_its_centre_only():
    large, small = [boxed(0, 0, 50, 50)], [boxed(20, 20, 24, 24)]
    assert pairs(large, small) == [(0, 0)]
    assert pairs(large, small, centres=False) == []


def test_one_box_around_two_lesions_is_one_of_them_and_the_other_is_alone():
    both = [boxed(0, 0, 40, 10)]
    apart = [boxed(0, 0, 12, 10), boxed(14, 0, 40, 10)]
    assert pairs(both, apart) == [(0, 1)]


def test_a_good_pair_is_not_given_up_for_two_poor_ones():
    first = [boxed(0, 0, 20, 20), boxed(16, 0, 36, 20)]
    second = [boxed(1, 0, 21, 20), boxed(-16, 0, 4, 20)]
    assert pairs(first, second) == [(0, 0)]


def test_boxes_that_only_touch_are_two_lesions_even_when_any_overlap_would_do():
    assert pairs([boxed(0, 0, 10, 10)], [boxed(10, 0, 20, 10)], min_iou=0.0, centres=False) == []


@given(readings, readings)
def test_each_finding_is_used_at_most_once_and_only_where_the_rule_allows(first, second):
    matched = pairs(first, second)
    assert len({a for a, _ in matched}) == len({b for _, b in matched}) == len(matched)
    for a, b in matched:
        one, other = first[a].box, second[b].box
        inside = [
            outer.x0 <= inner.centre[0] <= outer.x1 and outer.y0 <= inner.centre[1] <= outer.y1
            for outer, inner in ((one, other), (other, one))
        ]
        assert one.iou(other) >= 0.1 or any(inside)


@given(readings, readings)
def test_it_does_not_matter_who_reads_first(first, second):
    there, back = pairs(first, second), [(a, b) for b, a in pairs(second, first)]
    assert abs(similarity(first, second, there) - similarity(first, second, back)) < 1e-9


@given(readings)
def test_a_reading_matches_itself_whole(reading):
    matched = pairs(reading, reading)
    assert len(matched) == len(reading)
    assert all(reading[a].box == reading[b].box for a, b in matched)


@pytest.mark.parametrize("centres", [True, False])
def test_a_point_is_the_lesion_in_whose_box_it_lies_whatever_the_centre_rule(centres):
    outlined = [boxed(0, 0, 50, 50)]
    assert pairs([point(3, 49)], outlined, centres=centres) == [(0, 0)]
    assert pairs(outlined, [point(3, 49)], centres=centres) == [(0, 0)]
    assert pairs([point(3, 50)], outlined, centres=centres, min_iou=0.0) == []


def test_two_points_are_one_lesion_as_far_as_a_cluster_reaches_around_a_marked_place():
    assert pairs([point(0, 0)], [point(110, 0)]) == [(0, 0)]
    assert pairs([point(0, 0)], [point(111, 0)]) == []
    flat = Spacing(0.05, 0.2, "given")
    assert pairs([point(0, 0)], [point(0, 220)], spacing=flat) == [(0, 0)]
    assert pairs([point(0, 0)], [point(56, 0)], spacing=flat) == []


def test_of_several_points_the_nearest_are_paired():
    assert pairs([point(0, 0), point(60, 0)], [point(61, 1), point(1, 1)]) == [(0, 1), (1, 0)]


def test_an_outline_is_paired_with_an_outline_before_a_point_in_it():
    assert pairs([boxed(0, 0, 20, 20)], [point(5, 5), boxed(1, 1, 21, 21)]) == [(0, 1)]
