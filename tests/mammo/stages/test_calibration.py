import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from mammo.stages import StageRules, calibrate, lower_bound
from tests.mammo.stages.measured import record, records

RULES = StageRules()


@given(st.integers(0, 80), st.integers(1, 80), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_bound_is_clopper_and_pearsons(successes, more, confidence):
    trials = successes + more
    expected = beta.ppf(1 - confidence, successes, trials - successes + 1) if successes else 0.0
    assert lower_bound(successes, trials, confidence) == pytest.approx(expected, abs=1e-9)
    if successes:  # at the bound, so many successes are as rare as was promised
        bound = lower_bound(successes, trials, confidence)
        assert binom.sf(successes - 1, trials, bound) == pytest.approx(1 - confidence, abs=1e-6)


def test_fifty_nine_right_predictions_are_the_least_that_prove_ninety_five_percent():
    assert calibrate(records(58), RULES) is None
    calibration = calibrate(records(59), RULES)
    assert (calibration.threshold, calibration.images, calibration.right) == (0.5, 59, 59)


def test_the_search_ends_where_predictions_begin_to_be_wrong():
    good = records(100, score=0.9)
    bad = records(100, start=200, score=0.6, deleted=1)
    calibration = calibrate([*good, *bad], RULES)
    assert 0.6 < calibration.threshold <= 0.9
    assert (calibration.images, calibration.right) == (100, 100)
    # Below the wrong ones there are right ones again: they do not bring the threshold down.
    again = calibrate([*good, *bad, *records(3000, start=1000, score=0.55)], RULES)
    assert again.threshold == calibration.threshold


@pytest.mark.parametrize(
    "figures", [{"hasty": True}, {"arm": "control"}, {"score": None}, {"added": 1}, {"dice": 0.7}]
)
def test_what_proves_nothing_or_was_wrong_is_not_counted_as_right(figures):
    assert calibrate(records(300, **figures), RULES) is None


def test_small_changes_at_the_rim_are_right():
    assert calibrate(records(100, dice=0.85), RULES).right == 100


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=150))
def test_a_threshold_always_keeps_its_promise_on_what_it_was_learnt_from(judged):
    measured = [record(n, score=score, added=0 if right else 1) for n, (score, right) in enumerate(judged)]
    calibration = calibrate(measured, RULES)
    if calibration is not None:
        above = [right for score, right in judged if score >= calibration.threshold]
        assert (len(above), sum(above)) == (calibration.images, calibration.right)
        assert lower_bound(calibration.right, calibration.images, RULES.confidence) >= RULES.right_share
