import pytest

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Spacing
from tests.training.detections import square
from training.second_look import ModelAgreement
from training.second_look import doubts as all_doubts

SPACING = Spacing(0.1, 0.1, "given")
SKEWED = Spacing(0.1, 0.4, "given")
TRUSTED = ModelAgreement.counted([0.1] * 98, [], 98)
"""Of a model that nearly always agrees with the labels: precision and sensitivity are 0.99."""

POOR = ModelAgreement.counted([0.1] * 20, [0.1] * 78, 78)
"""Of one that sees much that is not there, and misses most: precision 0.21, sensitivity 0.2625."""


def doubts(stored, predicted, *, spacing, agreement=TRUSTED):
    return all_doubts(stored, predicted, spacing=spacing, agreement=agreement)


def test_a_label_that_the_prediction_confirms_is_doubted_least():
    (agreed,) = doubts([square(20, 20)], [square(20, 20, score=0.9)], spacing=SPACING)
    assert (agreed.cause, agreed.score, agreed.distance_mm) == ("outline", 0.0, 0.0)
    assert doubts([], [], spacing=SPACING) == []


def test_a_surer_prediction_without_a_label_is_a_stronger_doubt():
    raised = doubts([], [square(20, 20, score=0.3), square(40, 40, score=0.9)], spacing=SPACING)
    assert [each.cause for each in raised] == ["missed", "missed"]
    assert [each.score for each in raised] == pytest.approx([0.9 * 0.99, 0.3 * 0.99])
    assert raised[0].box == Box(40, 40, 50, 50)


def test_a_model_that_often_disagrees_raises_weaker_doubts():
    stored, predicted = [square(20, 20)], [square(300, 300, score=0.9)]
    good, poor = (doubts(stored, predicted, spacing=SPACING, agreement=each) for each in (TRUSTED, POOR))
    assert {each.cause for each in good} == {each.cause for each in poor} == {"missed", "nothing-there"}
    assert max(each.score for each in poor) < min(each.score for each in good)


def test_a_label_beside_a_prediction_is_one_doubt_about_a_moved_outline_and_stronger_than_either():
    stored, predicted = [square(20, 20)], [square(60, 20, score=0.6)]  # 4 mm apart
    (moved,) = doubts(stored, predicted, spacing=SPACING)
    assert (moved.cause, moved.box, moved.distance_mm) == ("outline", stored[0].box, pytest.approx(4.0))
    assert moved.score == pytest.approx(1 - (1 - 0.6 * 0.99) * (1 - 0.5 * 0.99))
    far = doubts(stored, [square(300, 20, score=0.6)], spacing=SPACING)
    assert {each.cause for each in far} == {"missed", "nothing-there"}


def test_how_often_model_and_labels_agree_is_counted_over_all_images():
    images = [
        ([square(20, 20)], [square(20, 20, score=0.9), square(200, 20, score=0.3)], SPACING),
        ([square(20, 20), square(90, 90)], [square(20, 20, score=0.5)], SPACING),
    ]
    agreement = ModelAgreement.of(images)
    assert agreement.sensitivity == pytest.approx((2 + 1) / (3 + 2))
    assert agreement.precision(0.5) == pytest.approx((2 + 1) / (2 + 2))
    assert agreement.precision(0.1) == pytest.approx((2 + 1) / (3 + 2))
    assert agreement.precision(0.95) == agreement.precision(0.9) == agreement.precision(0.5), "never falling"
    assert ModelAgreement.of([]).precision(0.5) == 0.5, "nothing is known"


def test_a_label_that_nothing_confirms_is_doubted_also_if_it_is_a_point():
    point = Finding(label=CLUSTER, score=1.0, box=Box(5, 5, 6, 6), is_point=True)
    assert [each.cause for each in doubts([square(20, 20), point], [], spacing=SPACING)] == [
        "nothing-there"
    ] * 2
    inside = square(0, 0, score=0.9)
    assert doubts([point], [inside], spacing=SPACING) == [], (
        "a point in the prediction is confirmed, without outline"
    )


def test_the_distance_of_outlines_is_in_mm_and_grows_the_doubt_in_either_direction():
    found = [square(20, 20, side=40, score=0.8)]
    near, far = (doubts([square(20 + by, 20, side=40)], found, spacing=SPACING)[0] for by in (4, 16))
    assert 0 < near.distance_mm < far.distance_mm < 1.6
    assert 0 < near.score < far.score < 0.5
    (down,) = doubts([square(20, 24, side=40)], found, spacing=SKEWED)
    (across,) = doubts([square(24, 20, side=40)], found, spacing=SKEWED)
    assert across.distance_mm > 2 * down.distance_mm, "a column is four times as wide as a row is high"


@pytest.mark.parametrize("mask", [True, False])
def test_without_two_outlines_a_confirmed_box_is_not_doubted(mask):
    raised = doubts([square(20, 20, mask=mask)], [square(20, 20, mask=not mask)], spacing=SPACING)
    assert raised == []
