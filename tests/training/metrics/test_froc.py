import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.geometry import Box
from tests.training.detections import Found, at
from training.metrics import Hits, Pooled, centre_rule, froc, iou_rule, match, sensitivity_at

LESION = Box(100, 100, 140, 140)
OTHER = Box(300, 300, 340, 340)


def test_a_detection_hits_the_lesion_that_contains_its_centre():
    hits = match([at(101, 101, 0.9), at(99, 120, 0.8)], [LESION], uncertain=(), rule=centre_rule)
    assert (hits.scores, hits.true, hits.num_lesions) == ((0.9, 0.8), (True, False), 1)


def test_a_large_box_around_a_lesion_hits_it_however_little_they_overlap():
    assert match([Found(Box(0, 0, 240, 240), 0.5)], [LESION], uncertain=(), rule=centre_rule).true == (True,)


def test_a_lesion_counts_once_and_extra_hits_on_it_count_for_nothing():
    hits = match(
        [at(110, 110, 0.9), at(130, 130, 0.8), at(120, 120, 0.7), at(5, 5, 0.6)],
        [LESION],
        uncertain=(),
        rule=centre_rule,
    )
    assert (hits.scores, hits.true) == ((0.9, 0.6), (True, False))


def test_two_detections_in_two_overlapping_lesions_find_both():
    near = LESION.shifted(20, 0)
    hits = match([at(130, 120, 0.9), at(131, 120, 0.8)], [LESION, near], uncertain=(), rule=centre_rule)
    assert hits.true == (True, True)


def test_an_image_without_lesions_has_only_false_positives():
    assert match([at(5, 5, 0.5)], [], uncertain=(), rule=centre_rule) == Hits((0.5,), (False,), 0)
    assert match([], [LESION], uncertain=(), rule=centre_rule) == Hits((), (), 1)


def test_the_curve_of_a_worked_example():
    # Two images, three lesions. By score: hit .9, false .8, hit .7, false .6, false .6, hit .5
    images = [Hits((0.9, 0.8, 0.6), (True, False, False), 1), Hits((0.7, 0.6, 0.5), (True, False, True), 2)]
    curve = froc(images)
    assert curve.thresholds.tolist() == [math.inf, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert curve.false_positives.tolist() == [0, 0, 0.5, 0.5, 1.5, 1.5]
    assert curve.sensitivity == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1])
    assert sensitivity_at(curve, 0.25) == pytest.approx(1 / 3)
    assert sensitivity_at(curve, 0.5) == pytest.approx(2 / 3)
    assert sensitivity_at(curve, 1.0) == pytest.approx(2 / 3)
    assert sensitivity_at(curve, 2.0) == 1.0


def test_false_positives_can_be_those_of_some_images_only():
    # Of the example above, and two normal images with false positives at .85 and .3.
    images = [
        Hits((0.9, 0.8, 0.6), (True, False, False), 1),
        Hits((0.7, 0.6, 0.5), (True, False, True), 2),
        Hits((0.85,), (False,), 0),
        Hits((0.3,), (False,), 0),
    ]
    curve = froc(images, counted=[False, False, True, True])
    assert curve.false_positives[-1] == 1.0
    assert sensitivity_at(curve, 0.0) == pytest.approx(1 / 3)
    assert sensitivity_at(curve, 0.5) == 1.0
    weighted = Pooled.of(images, counted=[False, False, True, True]).curve(np.array([1.0, 1, 3, 0]))
    assert sensitivity_at(weighted, 0.9) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="no image counts"):
        froc(images, counted=[False] * 4)


def test_equal_scores_stand_or_fall_together():
    hit_first = [Hits((0.5, 0.5), (True, False), 1)]
    curve = froc(hit_first)
    assert curve.thresholds.tolist() == [math.inf, 0.5]
    assert sensitivity_at(curve, 0.5) == 0.0  # the only way to the hit leads over a false positive
    assert sensitivity_at(curve, 1.0) == 1.0


def test_nothing_detected_is_sensitivity_zero_and_no_threshold():
    curve = froc([Hits((), (), 2), Hits((), (), 0)])
    assert sensitivity_at(curve, 1.0) == 0.0


@pytest.mark.parametrize("images", [[], [Hits((0.5,), (False,), 0)]])
def test_sensitivity_without_lesions_does_not_exist(images):
    with pytest.raises(ValueError, match="lesions"):
        froc(images)


detections = st.lists(
    st.builds(
        Found,
        st.builds(lambda x, y: Box(x, y, x + 6, y + 6), st.integers(0, 60), st.integers(0, 60)),
        st.sampled_from([0.1, 0.3, 0.5, 0.5, 0.7, 0.9]),
    ),
    max_size=8,
)
lesions = st.lists(
    st.sampled_from([Box(0, 0, 20, 20), Box(30, 30, 60, 60), Box(10, 40, 30, 60)]), max_size=3, unique=True
)
cases = st.lists(st.tuples(detections, lesions), min_size=1, max_size=5).filter(
    lambda cs: any(t for _, t in cs)
)


def brute_force(cases, threshold):
    """False positives per image and sensitivity at one threshold, by the definition."""
    false = found = 0
    for images_detections, truth in cases:
        hits = match(
            [d for d in images_detections if d.score >= threshold], truth, uncertain=(), rule=centre_rule
        )
        false += hits.true.count(False)
        found += hits.true.count(True)
    return false / len(cases), found / sum(len(truth) for _, truth in cases)


@given(cases)
def test_every_point_of_the_curve_is_what_its_threshold_gives(cases):
    curve = froc([match(found, truth, uncertain=(), rule=centre_rule) for found, truth in cases])
    assert (np.diff(curve.false_positives) >= 0).all()
    assert (np.diff(curve.sensitivity) >= 0).all()
    for false, found, threshold in zip(
        curve.false_positives, curve.sensitivity, curve.thresholds, strict=True
    ):
        assert brute_force(cases, threshold) == pytest.approx((false, found))


@given(cases, st.data())
def test_a_weight_is_a_number_of_copies(cases, data):
    images = [match(found, truth, uncertain=(), rule=centre_rule) for found, truth in cases]
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(images), max_size=len(images)))
    copies = [image for image, count in zip(images, weights, strict=True) for _ in range(count)]
    if not any(image.num_lesions for image in copies):
        with pytest.raises(ValueError, match="lesions"):
            Pooled.of(images).curve(np.array(weights, float))
        return
    weighted, copied = Pooled.of(images).curve(np.array(weights, float)), froc(copies)
    for rate in (0.0, 0.25, 0.5, 1.0, 4.0):
        assert sensitivity_at(weighted, rate) == pytest.approx(sensitivity_at(copied, rate))


def test_a_small_box_in_a_large_lesion_hits_by_its_centre_and_misses_by_overlap():
    assert match([at(120, 120, 0.9)], [LESION], uncertain=(), rule=centre_rule).true == (True,)
    assert match([at(120, 120, 0.9)], [LESION], uncertain=(), rule=iou_rule(0.5)).true == (False,)


def test_overlap_of_exactly_the_least_is_a_hit():
    half = Found(Box(100, 100, 120, 140), 0.5)  # IoU 0.5
    assert match([half], [LESION], uncertain=(), rule=iou_rule(0.5)).true == (True,)
    assert match([half], [LESION], uncertain=(), rule=iou_rule(0.51)).true == (False,)


PLACE = Box(300, 300, 400, 400)
"""The box around a place that a person marked by a point."""


def test_a_detection_where_only_a_place_is_marked_is_neither_a_hit_nor_a_false_alarm():
    inside, outside = at(350, 350, 0.9), at(450, 350, 0.8)
    hits = match([inside, outside], [LESION], uncertain=[PLACE], rule=centre_rule)
    assert hits == Hits((0.8,), (False,), 1)
    assert match([inside], [], uncertain=[PLACE], rule=centre_rule).scores == ()


def test_an_outlined_lesion_beside_a_marked_place_can_still_be_found():
    around = LESION.dilated(50)
    hits = match([at(120, 120, 0.9), at(60, 60, 0.8)], [LESION], uncertain=[around], rule=centre_rule)
    assert hits == Hits((0.9,), (True,), 1)


def test_an_image_with_nothing_but_a_marked_place_is_no_image_without_a_lesion():
    def undecided(truth, uncertain):
        return match([], truth, uncertain=uncertain, rule=centre_rule).undecided

    assert undecided([], [PLACE])
    assert not undecided([], [])
    assert not undecided([LESION], [PLACE])
