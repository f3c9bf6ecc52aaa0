import pytest

from tests.training.gate.test_gate import evaluation, worse
from training.gate.curves import RATES, curve_of
from training.metrics import sensitivity_at


def test_the_kept_curve_is_that_of_the_evaluation_and_lies_in_its_band():
    made = evaluation("m", change=worse(3, found=False, false=(0.95,)))
    curve = curve_of(made)
    assert curve.false_positives == RATES
    assert curve.sensitivity == tuple(sensitivity_at(made.froc, rate) for rate in RATES)
    for low, value, high in zip(curve.low, curve.sensitivity, curve.high, strict=True):
        assert low <= value <= high
    assert curve.low[-1] < 0.7 < curve.high[-1]


def test_equal_patients_have_a_band_without_width():
    curve = curve_of(evaluation("m"))
    assert curve.low == curve.high == pytest.approx((1.0,) * len(RATES))


def test_without_a_lesion_there_is_no_curve():
    assert curve_of(evaluation("m", lesions=0)) is None
