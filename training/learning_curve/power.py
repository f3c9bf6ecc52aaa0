"""How many patients the gate needs until it can tell a gain.

The gate promotes if the challenger is better in a share (its confidence) of the draws of T held-out patients. With a
standard deviation s of the difference per patient, a true gain g passes with probability `POWER` if

    g >= (z_confidence + z_POWER) s / sqrt(T),   so   T = ((z_confidence + z_POWER) s / g)^2 .

s comes from the newest judged run, by the jackknife over its held-out patients. Its variance is known from T patients
only: it is taken as scaled inverse chi-squared, with fewer degrees of freedom where the differences have heavy tails.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, norm

from training.gate.gate import GateRule
from training.learning_curve.power_law import LEVEL, Estimate

Floats = npt.NDArray[np.float64]

POWER = 0.5
"""Chance with which the gain passes: as likely as not."""

HELD_OUT = 0.25
"""Share of the patients that is held out."""

KURTOSIS, KURTOSIS_PATIENTS = 8.0, 20
"""What the kurtosis of the differences is taken to be before any is seen, and for how many patients that counts."""


@dataclass(frozen=True)
class MorePatients:
    """Corrected patients that are missing until the gate could tell a gain; 0 if it can."""

    gain: float
    patients: Estimate
    spread: float
    """Standard deviation of the difference per patient."""

    @property
    def sentence(self) -> str:
        """One sentence for people."""
        value, low, high = (
            _rounded(each) for each in (self.patients.value, self.patients.low, self.patients.high)
        )
        if not value:
            doubt = f" (80 % interval: up to {high} more patients)" if high else ""
            return f"the gate can tell a gain of {self.gain:g} now{doubt}"
        return (
            f"some {value} more patients (80 % interval {low} to {high}) until the gate could tell a gain of "
            f"{self.gain:g}"
        )


def more_patients(differences: Floats, *, held_out: int, rule: GateRule, gain: float) -> MorePatients | None:
    """How many more corrected patients the gate needs to tell a gain; None with fewer than three differences.

    Args:
        differences: challenger's minus champion's score for every patient that was judged, as jackknife pseudo-values.
        held_out: patients that are held out for the gate now.
        gain: of the primary score, in (0, 1).
    """
    spread = float(np.std(differences, ddof=1)) if len(differences) > 2 else 0.0
    if not spread:
        return None
    freedom = _degrees_of_freedom(differences)
    tail = (1 - LEVEL) / 2
    # High quantiles of chi-squared go with small variances.
    variances = [freedom * spread**2 / float(chi2.ppf(q, freedom)) for q in (0.5, 1 - tail, tail)]
    z = float(norm.ppf(rule.confidence) + norm.ppf(POWER))
    needed = [max(z**2 * variance / gain**2, rule.min_patients) for variance in variances]
    missing = [max(0.0, (each - held_out) / HELD_OUT) for each in needed]
    return MorePatients(gain, Estimate(*missing), spread)


def _degrees_of_freedom(differences: Floats) -> float:
    """Of the variance: Var(s^2) = s^4 (kurtosis - 1) / T, which for a normal distribution is 2 s^4 / T."""
    centred = differences - differences.mean()
    number, variance = len(differences), float(np.mean(centred**2))
    seen = float(np.mean(centred**4)) / variance**2
    kurtosis = (number * seen + KURTOSIS_PATIENTS * KURTOSIS) / (number + KURTOSIS_PATIENTS)
    return max(1.0, 2.0 * (number - 1) / (max(kurtosis, 2.0) - 1.0))


def _rounded(patients: float) -> int:
    """Whole patients up to 100, tens up to 1000, hundreds beyond: no more digits than are known."""
    digits = 0 if patients <= 100 else 1 if patients <= 1000 else 2
    return int(math.ceil(patients / 10**digits) * 10**digits)
