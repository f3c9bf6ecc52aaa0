import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mammo.geometry import Box, Point
from mammo.segmenter import Segmenter
from mammo.segmenter.binding_clicks import MARGIN, REACH, enforce_clicks
from mammo.segmenter.runtime import Answer
from tests.fakes.segmenter_runtime import CountingRuntime
from training.segmenter.mask_loss import sample

SIDE = 64
PIXELS = np.random.default_rng(0).uniform(0.1, 1, (400, 400)).astype(np.float32)
BOX = Box(150, 150, 250, 250)

place = st.tuples(st.floats(0.5, SIDE - 0.5), st.floats(0.5, SIDE - 0.5))


def flat(value: float) -> np.ndarray:
    return np.full((SIDE, SIDE), value, np.float32)


def at(logits: np.ndarray, x: int, y: int) -> float:
    return float(logits[y, x])


def test_clicks_that_hold_change_nothing():
    logits = flat(3)
    assert enforce_clicks(logits, [(10, 10)], []) is logits
    assert enforce_clicks(logits, [], []) is logits


def test_a_negative_click_takes_a_hole_out_of_the_mask_and_leaves_the_rest():
    corrected = enforce_clicks(flat(3), [], [(20.5, 30.5)])
    assert np.isclose(at(corrected, 20, 30), -MARGIN, atol=0.05)
    assert at(corrected, 20 + 4 * round(REACH), 30) > 2.9
    hole = corrected < 0
    assert 1 < hole.sum() < 4 * np.pi * REACH**2


def test_a_positive_click_adds_to_the_mask():
    corrected = enforce_clicks(flat(-3), [(20.5, 30.5)], [])
    assert np.isclose(at(corrected, 20, 30), MARGIN, atol=0.05)
    assert at(corrected, 50, 30) < -2.9


def test_a_click_between_others_moves_what_it_must_and_not_them():
    """The first click holds already, two logits away: it stays where it is."""
    corrected = enforce_clicks(flat(5), [(32.5, 30.5)], [(30.5, 30.5)])
    assert at(corrected, 30, 30) < -1.5
    assert np.isclose(at(corrected, 32, 30), 5, atol=0.1)


def test_opposite_clicks_on_one_pixel_do_no_harm_elsewhere():
    corrected = enforce_clicks(flat(4), [(30.5, 30.5)], [(30.5, 30.5), (30.6, 30.5)])
    assert np.isfinite(corrected).all()
    assert np.abs(corrected - 4).max() < 10
    assert np.allclose(corrected[:25], 4, atol=0.01)


@given(
    st.lists(place, min_size=1, max_size=12),
    st.integers(0, 12),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1.0, 10.0, 50.0]),
)
def test_every_click_holds_where_the_logits_can_tell_it_from_the_opposite_ones(places, first, seed, scale):
    positive, negative = places[:first], places[first:]
    for one in positive:
        assume(all(np.hypot(one[0] - two[0], one[1] - two[1]) >= 2 for two in negative))
    logits = (
        np.random.default_rng(seed).normal(0, scale, (SIDE // 8, SIDE // 8)).repeat(8, 0).repeat(8, 1)
    ).astype(np.float32)
    corrected = enforce_clicks(logits, positive, negative)
    at = torch.tensor([*positive, *negative], dtype=torch.float32)[None] / SIDE
    drawn = sample(torch.from_numpy(corrected)[None, None], at)[0]
    assert (drawn[: len(positive)] > 0).all()
    assert (drawn[len(positive) :] < 0).all()


def test_a_mask_holds_what_a_person_clicked_and_not_what_a_rule_proposed():
    segmenter = Segmenter(CountingRuntime())
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    wrong, proposed = Point(200, 201), Point(170, 170)
    prompt = {"box": BOX, "points": [proposed], "negative": [wrong]}
    free = segmenter.segment(embedding, **prompt).mask
    held = segmenter.segment(embedding, **prompt, binding=[wrong])
    assert free is not None
    assert free.holds(wrong)
    assert held.mask is not None
    assert not held.mask.holds(wrong)
    assert held.mask.holds(Point(145, 255))
    assert held.logits is not None
    assert held.logits.min() < -1, "the next prompt starts from the mask that was shown"

    nothing = Segmenter(CountingRuntime(logit=-1.0))
    assert nothing.segment(nothing.embed(PIXELS, BOX, spacing=None), box=BOX, points=[proposed]).mask is None
    clicked = nothing.segment(
        nothing.embed(PIXELS, BOX, spacing=None), box=None, points=[proposed], binding=[proposed]
    ).mask
    assert clicked is not None
    assert clicked.holds(proposed)


def test_a_click_without_a_box_answers_with_what_lies_under_it():
    """Two blobs: the click is on one; a second click adds the other, and with a box both stay."""

    class TwoBlobs(CountingRuntime):
        def decode(self, features, coordinates, labels, *, previous):
            logits = np.full((16, 16), -5, np.float32)
            logits[6:9, 2:5] = logits[6:9, 11:14] = 5
            return Answer(logits, None)

    segmenter = Segmenter(TwoBlobs())
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    roi = embedding.roi
    left, right = (
        Point(roi.crop.x0 + round(x * roi.pixels_per_logit), roi.crop.y0 + roi.side // 2) for x in (3.5, 12.5)
    )
    one = segmenter.segment(embedding, box=None, points=[left], binding=[left]).mask
    both = segmenter.segment(embedding, box=None, points=[left, right], binding=[left, right]).mask
    hinted = segmenter.segment(embedding, box=None, points=[left]).mask
    assert one is not None
    assert one.holds(left)
    assert not one.holds(right)
    assert both is not None
    assert both.holds(right)
    assert hinted is not None
    assert hinted.area == both.area == 2 * one.area
