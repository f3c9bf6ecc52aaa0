from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.geometry import Box, Spacing
from mammo.masks import Mask
from mammo.readings.agreement import compare
from mammo.readings.consensus import MARGIN, consensus, consensus_finding, consensus_mask, staple
from mammo.readings.rules import CONSENSUS_RULES, ReadingRules
from tests.mammo.readings.drawing import boxed, lesion, painted, point

SIDE = 80
FIRST, SECOND = painted(20, 20, 40, 40), painted(22, 20, 42, 40)


def pixels(mask):
    full = np.zeros((SIDE, SIDE), bool)
    mask.paste(full)
    return full


def test_intersection_is_what_both_drew_and_union_what_either_drew():
    assert np.array_equal(
        pixels(consensus_mask(FIRST, SECOND, rule="intersection")), pixels(FIRST) & pixels(SECOND)
    )
    assert np.array_equal(pixels(consensus_mask(FIRST, SECOND, rule="union")), pixels(FIRST) | pixels(SECOND))


def test_staple_is_simpleitks_over_the_box_around_both_and_its_margin():
    frame = Box(20, 20, 42, 40).dilated(MARGIN)
    images = [sitk.GetImageFromArray(pixels(mask)[frame.slices].astype(np.uint8)) for mask in (FIRST, SECOND)]
    expected = np.zeros((SIDE, SIDE), bool)
    expected[frame.slices] = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0)) >= 0.5
    assert np.array_equal(pixels(staple([FIRST, SECOND])), expected)


def expectation_maximisation(drawn, rounds=200):
    """Warfield, Zou and Wells 2004, eq. 16, 18 and 19, in as many lines."""
    prior = drawn.mean()
    p = q = np.full(len(drawn), 0.99999)
    for _ in range(rounds):
        a = prior * np.prod([np.where(d, pj, 1 - pj) for d, pj in zip(drawn, p, strict=True)], axis=0)
        b = (1 - prior) * np.prod([np.where(d, 1 - qj, qj) for d, qj in zip(drawn, q, strict=True)], axis=0)
        w = a / (a + b)
        p = np.array([(w * d).sum() / w.sum() for d in drawn])
        q = np.array([((1 - w) * ~d).sum() / (1 - w).sum() for d in drawn])
    return w


def test_three_readers_of_whom_two_agree_are_weighed_as_the_paper_of_staple_says():
    masks = [painted(20, 20, 40, 40), painted(20, 20, 40, 39), painted(28, 24, 44, 44)]
    frame = Box(20, 20, 44, 44).dilated(MARGIN)
    drawn = np.array([pixels(mask)[frame.slices] for mask in masks])
    expected = np.zeros((SIDE, SIDE), bool)
    expected[frame.slices] = expectation_maximisation(drawn) >= 0.5
    assert np.array_equal(pixels(staple(masks)), expected)
    assert expected.any()


shapes = st.builds(
    lambda x, y, w, h: painted(x, y, x + w, y + h),
    *(st.integers(20, 30), st.integers(20, 30), st.integers(12, 30), st.integers(12, 30)),
)


@settings(max_examples=40)
@given(shapes, shapes)
def test_every_rule_lies_between_intersection_and_union_and_does_not_care_who_is_first(first, second):
    least, most = pixels(first) & pixels(second), pixels(first) | pixels(second)
    for rule in CONSENSUS_RULES:
        merged = pixels(consensus_mask(first, second, rule=rule))
        assert not (least & ~merged).any()
        assert not (merged & ~most).any()
        assert np.array_equal(merged, pixels(consensus_mask(second, first, rule=rule)))


@pytest.mark.parametrize("rule", CONSENSUS_RULES)
def test_two_equal_readings_are_their_own_consensus(rule):
    finding = consensus_finding(lesion(20, 20, 40, 40), lesion(20, 20, 40, 40), rule=rule)
    assert finding.box == Box(20, 20, 40, 40)
    assert np.array_equal(pixels(finding.mask), pixels(FIRST))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("intersection", (4, 2, 20, 20)), ("union", (0, 0, 24, 22)), ("staple", (2, 1, 22, 21))],
)
def test_boxes_become_their_intersection_the_box_around_both_or_the_mean_of_the_corners(rule, expected):
    finding = consensus_finding(boxed(0, 0, 20, 20), boxed(4, 2, 24, 22), rule=rule)
    assert finding.box.as_tuple() == expected
    assert finding.mask is None


def test_the_box_of_a_consensus_holds_its_mask():
    wide = Mask(np.ones((10, 40), bool), 10, 20)
    first = second = replace(lesion(20, 20, 30, 30), mask=wide)
    finding = consensus_finding(first, second, rule="intersection")
    assert finding.box == wide.frame


def test_a_consensus_has_one_finding_for_each_lesion_whatever_the_order_of_the_second_reading():
    first = [lesion(0, 0, 20, 20), lesion(50, 50, 70, 70)]
    second = [lesion(51, 50, 71, 70), lesion(0, 1, 20, 21)]
    agreement = compare(first, second, rules=ReadingRules(), spacing=Spacing(0.1, 0.1, "given"))
    findings = consensus(first, second, agreement, rule="union")
    assert [finding.box.as_tuple() for finding in findings] == [(0, 0, 20, 21), (50, 50, 71, 70)]
    assert all(finding.score == 1.0 for finding in findings)


@pytest.mark.parametrize("rule", CONSENSUS_RULES)
@pytest.mark.parametrize("outlined", [lesion(20, 20, 40, 40), boxed(20, 20, 40, 40)])
def test_a_point_in_an_outline_leaves_the_outline(rule, outlined):
    for first, second in ((outlined, point(25, 25)), (point(25, 25), outlined)):
        finding = consensus_finding(first, second, rule=rule)
        assert (finding.box, finding.mask, finding.is_point) == (outlined.box, outlined.mask, False)


@pytest.mark.parametrize("rule", CONSENSUS_RULES)
def test_two_points_are_one_point_midway(rule):
    finding = consensus_finding(point(10, 10), point(20, 13), rule=rule)
    assert (finding.box, finding.mask, finding.is_point) == (Box(15, 11, 16, 12), None, True)


def test_a_consensus_says_only_what_both_say():
    first = replace(lesion(0, 0, 20, 20), morphology="amorphous", distribution="linear", lesion="x")
    second = replace(lesion(0, 0, 20, 20), morphology="amorphous", distribution="grouped")
    assert consensus_finding(first, second, rule="union").attributes == {"morphology": "amorphous"}
    assert consensus_finding(first, lesion(0, 0, 20, 20), rule="staple").attributes == {}
