"""How many more patients the gate needs, from the spread of the differences between two models."""

import numpy as np
import pytest
from scipy.stats import norm

from training.gate.gate import GateRule
from training.learning_curve.power import more_patients

RULE = GateRule()


def differences(spread, number):
    """Normal quantiles: differences without chance."""
    values = norm.ppf((np.arange(number) + 0.5) / number)
    return spread * values / np.std(values, ddof=1)


def test_the_number_follows_from_the_spread():
    missing = more_patients(differences(0.1, 400), held_out=8, rule=RULE, gain=0.05)
    needed = (norm.ppf(0.95) * 0.1 / 0.05) ** 2
    assert missing.patients.value == pytest.approx((needed - 8) / 0.25, rel=0.05)
    assert missing.patients.low < missing.patients.value < missing.patients.high
    assert missing.sentence.startswith("some 12 more patients (80 % interval ")
    assert missing.sentence.endswith("until the gate could tell a gain of 0.05")


def test_enough_patients_are_told_so():
    missing = more_patients(differences(0.1, 400), held_out=400, rule=RULE, gain=0.05)
    assert missing.patients.value == 0
    assert missing.sentence == "the gate can tell a gain of 0.05 now"


def test_the_gate_never_decides_on_fewer_patients_than_its_rule_names():
    missing = more_patients(differences(0.001, 400), held_out=2, rule=RULE, gain=0.05)
    assert missing.patients.value == (RULE.min_patients - 2) * 4


def test_few_patients_know_the_spread_less_well():
    few, many = (
        more_patients(differences(0.2, number), held_out=8, rule=RULE, gain=0.05).patients
        for number in (8, 80)
    )
    assert few.high / max(few.low, 1.0) > many.high / max(many.low, 1.0)


def test_too_few_or_equal_patients_say_nothing():
    assert more_patients(differences(0.2, 2), held_out=2, rule=RULE, gain=0.05) is None
    assert more_patients(np.zeros(10), held_out=10, rule=RULE, gain=0.05) is None
