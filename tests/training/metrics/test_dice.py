import pytest

from mammo.geometry import Box
from tests.training.detections import square
from training.metrics import box_dice, lesion_dice


def test_dice_counts_missed_lesions_as_zero_and_pairs_one_to_one():
    truth = [square(0, 0), square(100, 100), square(200, 200, mask=False)]
    # Half of the first lesion, twice: the second copy has nothing left to pair with.
    predicted = [square(0, 5), square(0, 5), square(400, 400)]
    assert lesion_dice(predicted, truth) == pytest.approx((0.5, 0.0))


def test_the_best_overlap_is_paired_first():
    truth = [square(0, 0), square(4, 0)]
    assert lesion_dice([square(4, 0)], truth) == (0.0, 1.0)
    assert lesion_dice([square(4, 0), square(1, 0)], truth) == pytest.approx((0.9, 1.0))


def test_nothing_predicted_is_dice_zero_and_no_lesion_no_number():
    assert lesion_dice([], [square(0, 0)]) == (0.0,)
    assert lesion_dice([square(0, 0)], []) == ()


def test_dice_of_boxes_is_twice_the_common_area_over_both():
    assert box_dice([Box(0, 0, 10, 5)], [Box(0, 0, 10, 10), Box(50, 50, 60, 60)]) == pytest.approx(
        (2 / 3, 0.0)
    )
    assert box_dice([], [Box(0, 0, 1, 1)]) == (0.0,)
