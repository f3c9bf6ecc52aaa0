import pytest

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Spacing
from tests.training.detections import square
from training.second_look import doubts

SPACING = Spacing(0.1, 0.1, "given")
SKEWED = Spacing(0.1, 0.4, "given")


def test_a_label_that_the_prediction_confirms_is_doubted_least():
    (agreed,) = doubts([square(20, 20)], [square(20, 20, score=0.9)], spacing=SPACING)
    assert (agreed.cause, agreed.score, agreed.distance_mm) == ("outline", 0.0, 0.0)
    assert doubts([], [], spacing=SPACING) == []


def test_a_surer_prediction_without_a_label_is_a_stronger_doubt():
    raised = doubts([], [square(20, 20, score=0.3), square(40, 40, score=0.9)], spacing=SPACING)
    assert [(each.cause, each.score) for each in raised] == [("missed", 0.9), ("missed", 0.3)]
    assert raised[0].box == Box(40, 40, 50, 50)


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
    assert near.score < far.score < 0.8
    (down,) = doubts([square(20, 24, side=40)], found, spacing=SKEWED)
    (across,) = doubts([square(24, 20, side=40)], found, spacing=SKEWED)
    assert across.distance_mm > 2 * down.distance_mm, "a column is four times as wide as a row is high"


@pytest.mark.parametrize("mask", [True, False])
def test_without_two_outlines_a_confirmed_box_is_not_doubted(mask):
    raised = doubts([square(20, 20, mask=mask)], [square(20, 20, mask=not mask)], spacing=SPACING)
    assert raised == []
