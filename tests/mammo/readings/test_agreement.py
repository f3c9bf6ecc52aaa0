from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.geometry import Spacing
from mammo.readings.agreement import Agreement, compare
from mammo.readings.rules import ReadingRules
from tests.mammo.readings.drawing import boxed, lesion, point

RULES = ReadingRules()
FINE = Spacing(0.1, 0.1, "given")


def agree(first, second, *, spacing=FINE, **rules):
    return compare(first, second, rules=replace(RULES, **rules), spacing=spacing)


def test_two_empty_readings_agree():
    agreement = agree([], [])
    assert agreement.agreed
    assert agreement.present == (False, False)
    assert agreement.worst_dice == 1.0


def test_dice_and_the_distance_of_the_outlines_of_two_shifted_squares():
    agreement = agree([lesion(0, 0, 20, 20)], [lesion(2, 0, 22, 20)])
    (pair,) = agreement.lesions
    assert pair.dice == pytest.approx(2 * 18 * 20 / (400 + 400))
    # the two vertical sides are 2 px apart (20 pixels each of 76), the horizontal ones touch but for 2 + 2 ends
    assert 0.5 < pair.boundary_px < 1.5
    assert pair.boundary_mm == pytest.approx(pair.boundary_px * 0.1, abs=0.01)
    assert agreement.agreed


def test_outlines_that_differ_across_the_image_are_as_far_apart_as_its_columns_and_down_it_as_its_rows():
    flat = Spacing(0.05, 0.2, "given")
    across = agree([lesion(0, 0, 20, 20)], [lesion(2, 0, 22, 20)], spacing=flat).lesions[0]
    down = agree([lesion(0, 0, 20, 20)], [lesion(0, 2, 20, 22)], spacing=flat).lesions[0]
    assert across.boundary_px == down.boundary_px
    assert across.boundary_mm > 2 * down.boundary_mm
    assert down.boundary_mm == pytest.approx(down.boundary_px * 0.05, rel=0.3)
    tight = across.boundary_mm - 0.01
    assert agree(
        [lesion(0, 0, 20, 20)], [lesion(2, 0, 22, 20)], spacing=flat, most_boundary_mm=tight
    ).disagreements
    assert agree([lesion(0, 0, 20, 20)], [lesion(0, 2, 20, 22)], spacing=flat, most_boundary_mm=tight).agreed


def test_each_threshold_alone_makes_a_disagreement():
    first, second = [lesion(0, 0, 20, 20)], [lesion(2, 0, 22, 20)]
    assert agree(first, second, least_dice=0.95).disagreements == ("dice",)
    assert agree(first, second, most_boundary_mm=0.01).disagreements == ("boundary",)
    assert agree(first, second, least_dice=0.9, most_boundary_mm=0.2).agreed


def test_without_spacing_seventy_micrometres_a_pixel_are_assumed_for_the_threshold_and_not_stated():
    first, second = [lesion(0, 0, 20, 20)], [lesion(4, 0, 24, 20)]
    shift = agree(first, second).lesions[0].boundary_px
    assert agree(first, second, spacing=None, most_boundary_mm=shift * 0.07 + 0.001).agreed
    assert agree(first, second, spacing=None, most_boundary_mm=shift * 0.07 - 0.001).disagreements == (
        "boundary",
    )
    assert agree(first, second, spacing=None).lesions[0].boundary_mm is None


def test_a_lesion_that_one_reader_has_alone_is_a_disagreement_about_presence():
    shared, alone = lesion(0, 0, 20, 20), lesion(50, 50, 60, 60)
    agreement = agree([shared, alone], [shared])
    assert agreement.disagreements == ("presence",)
    assert (agreement.only_first, agreement.only_second) == ((1,), ())
    assert agreement.worst_dice == 0.0
    assert agree([alone], []).present == (True, False)


def test_boxes_without_masks_are_compared_as_boxes():
    agreement = agree([boxed(0, 0, 20, 20)], [boxed(2, 0, 22, 20)])
    assert agreement.lesions[0].dice == pytest.approx(0.9)
    assert agreement.agreed


def test_pixels_of_one_reader_only_are_a_disagreement():
    assert agree([boxed(0, 0, 20, 20)], [lesion(0, 0, 20, 20)]).disagreements == ("mask",)


@pytest.mark.parametrize("other", [boxed(0, 0, 20, 20), lesion(0, 0, 20, 20), point(30, 30)])
def test_a_point_agrees_on_the_place_and_there_is_nothing_to_measure(other):
    for first, second in (([point(5, 5)], [other]), ([other], [point(5, 5)])):
        agreement = agree(first, second, least_dice=1.0, most_boundary_mm=0.0)
        assert agreement.agreed
        assert (
            agreement.lesions[0].dice,
            agreement.lesions[0].boundary_px,
            agreement.lesions[0].boundary_mm,
        ) == (None,) * 3
        assert agreement.present == (True, True)
        assert agreement.worst_dice == 1.0
        assert Agreement.from_json(agreement.to_json()) == agreement


def test_a_point_outside_of_every_outline_is_a_lesion_that_one_reader_has_alone():
    agreement = agree([lesion(0, 0, 20, 20), point(200, 200)], [lesion(0, 0, 20, 20)])
    assert (agreement.disagreements, agreement.only_first) == (("presence",), (1,))
    assert agree([point(200, 200)], []).disagreements == ("presence",)


shapes = st.builds(
    lambda x, y, w, h: lesion(x, y, x + w, y + h),
    *(st.integers(0, 40), st.integers(0, 40), st.integers(2, 15), st.integers(2, 15)),
)


@given(st.lists(shapes, max_size=3), st.lists(shapes, max_size=3))
def test_agreement_survives_json_and_every_finding_is_counted_once(first, second):
    agreement = agree(first, second)
    assert Agreement.from_json(agreement.to_json()) == agreement
    assert len(agreement.lesions) + len(agreement.only_first) == len(first)
    assert len(agreement.lesions) + len(agreement.only_second) == len(second)


@given(shapes, shapes)
def test_of_one_lesion_each_the_measures_are_the_same_both_ways(first, second):
    there, back = agree([first], [second]), agree([second], [first])
    assert there.agreed == back.agreed
    assert [(p.dice, p.boundary_px) for p in there.lesions] == [(p.dice, p.boundary_px) for p in back.lesions]


@pytest.mark.parametrize(
    "wrong",
    [
        {"least_dice": 1.1},
        {"match_iou": -0.1},
        {"most_boundary_mm": -1.0},
        {"rounds": 0},
        {"consensus": "majority"},
        {"second_look": "theirs"},
    ],
)
def test_rules_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)) if "rounds" not in wrong else "rounds"):
        replace(RULES, **wrong)


def test_rules_survive_json_and_a_missing_one_has_its_default():
    rules = replace(RULES, least_dice=0.8, consensus="union", rounds=1)
    assert ReadingRules.from_json(rules.to_json()) == rules
    assert ReadingRules.from_json({"rounds": 1}) == replace(RULES, rounds=1)


def test_the_digest_follows_what_a_consensus_depends_on_and_nothing_else():
    assert replace(RULES, rounds=1, second_look="nothing").digest == RULES.digest
    for change in (
        {"consensus": "union"},
        {"least_dice": 0.8},
        {"most_boundary_mm": 2.0},
        {"match_iou": 0.2},
    ):
        assert replace(RULES, **change).digest != RULES.digest
