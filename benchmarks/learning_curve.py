"""How well the learning curve's forecasts hold, on simulated projects: `python -m benchmarks learning_curve`.

A project is simulated as figures, without images or networks. For every project drawn are
    * a true curve: a power law y = a - b n^-c (a from 0.6 to 0.97, c log-normal around 0.5, b so that the first quarter
      scores 0.05 to 0.4 below a), or, to be wrong on purpose, an exponential y = a - b exp(-n / k) that levels off
      (k from 0.2 to 0.6 of the training patients) or rises almost linearly still (0.6 to 2), or a flat line;
    * n training patients and T held-out ones: together `patients`, 60 % and 25 % of them;
    * per held-out patient a difficulty (standard deviation 0.25), common to all points, and an own deviation at every
      point (standard deviation 0.1 to 0.35), which has heavy tails: Student's t with 4 degrees of freedom;
    * for every point an error of its training (standard deviation 0.01 to 0.04).
A measured score is the mean over the held-out patients. The curve is fitted to the points at 25, 50, 75 and 100 %, and
    `score`     forecasts the score at twice the patients on the same held-out patients, measured with the same errors;
    `patients`  forecasts how many more patients the gate needs to tell a gain, where its true number follows from the
                true standard deviation. Forecast and truth are compared before they are rounded.
Both forecasts come with an 80 % interval. What is printed is how often the truth lay in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from benchmarks.result import Result
from training.gate.gate import GateRule
from training.learning_curve.power import HELD_OUT, POWER, more_patients
from training.learning_curve.power_law import CurvePoint, fit

SHARES = (0.25, 0.5, 0.75, 1.0)
KINDS = ("power law", "levels off", "flat", "still rising")
SIZES = (24, 40, 80, 160)
"""Patients of a project."""

PROJECTS = 60
"""Simulated projects per row."""

GAIN = 0.05
DIFFICULTY = 0.25
DEGREES_OF_FREEDOM = 4.0

Floats = npt.NDArray[np.float64]


def run() -> Result:
    rng = np.random.default_rng(0)
    everything: list[Outcome] = []
    rows = []
    for kind in KINDS:
        for patients in SIZES:
            outcomes = [simulate(kind, patients, rng) for _ in range(PROJECTS)]
            everything += outcomes
            rows.append(_row(kind, str(patients), outcomes))
    return Result(
        title="The learning curve's forecasts",
        method=(
            f"How often the truth lay in the 80 % interval, of {PROJECTS} simulated projects a row: the score at twice "
            f"the patients, and the patients that are missing until the gate could tell a gain of {GAIN:g}."
        ),
        columns=("true curve", "patients", "score held", "mean width", "patients held"),
        rows=[*rows, _row("all", "", everything)],
    )


@dataclass(frozen=True)
class Outcome:
    """What became of the forecasts of one project."""

    score_held: bool
    score_width: float
    patients_held: bool


def simulate(kind: str, patients: int, rng: np.random.Generator) -> Outcome:
    """Simulate one project, forecast, and compare with its truth.

    Args:
        kind: one of `KINDS`.
    """
    trained, held_out = round(0.6 * patients), round(HELD_OUT * patients)
    truth = _curve(kind, trained, rng)
    spread, training = rng.uniform(0.1, 0.35), rng.uniform(0.01, 0.04)
    difficulty = rng.normal(0.0, DIFFICULTY, held_out)
    difficulty -= difficulty.mean()  # the true curve is that of these patients
    sizes = [max(1, round(share * trained)) for share in SHARES]

    def measured(size: int) -> Floats:
        """The scores of the held-out patients after a training on so many patients."""
        return truth(size) + rng.normal(0.0, training) + difficulty + _heavy(held_out, spread, rng)

    values = np.array([measured(size) for size in sizes])
    own = (values - values.mean(axis=0)) * np.sqrt(len(values) / (len(values) - 1))
    errors = np.std(own, axis=1, ddof=1) / np.sqrt(held_out)
    law = fit(
        [
            CurvePoint(size, _score(row), float(error))
            for size, row, error in zip(sizes, values, errors, strict=True)
        ]
    )
    assert law is not None, "the four sizes differ"
    forecast = law.forecast(2 * trained)
    later = _score(measured(2 * trained))

    rule = GateRule()
    missing = more_patients(_heavy(held_out, spread, rng), held_out=held_out, rule=rule, gain=GAIN)
    assert missing is not None, "there are at least three held-out patients"
    z = float(norm.ppf(rule.confidence) + norm.ppf(POWER))
    needed = max((z * spread / GAIN) ** 2, rule.min_patients)
    true_missing = max(0.0, (needed - held_out) / HELD_OUT)
    return Outcome(
        score_held=forecast.low <= later <= forecast.high,
        score_width=forecast.high - forecast.low,
        patients_held=missing.patients.low <= true_missing <= missing.patients.high,
    )


def _score(values: Floats) -> float:
    """A score is in [0, 1]."""
    return float(np.clip(values.mean(), 0.0, 1.0))


def _curve(kind: str, trained: int, rng: np.random.Generator) -> Callable[[int], float]:
    asymptote, short = rng.uniform(0.6, 0.97), rng.uniform(0.05, 0.4)
    first = max(1, round(SHARES[0] * trained))
    if kind == "flat":
        return lambda size: asymptote
    if kind in ("levels off", "still rising"):
        scale = rng.uniform(*((0.2, 0.6) if kind == "levels off" else (0.6, 2.0))) * trained
        return lambda size: float(asymptote - short * np.exp(-(size - first) / scale))
    exponent = float(np.exp(rng.normal(np.log(0.5), 0.5)))
    return lambda size: float(asymptote - short * (size / first) ** -exponent)


def _heavy(number: int, spread: float, rng: np.random.Generator) -> Floats:
    """Deviations with heavy tails and this standard deviation."""
    scale = spread / np.sqrt(DEGREES_OF_FREEDOM / (DEGREES_OF_FREEDOM - 2))
    return scale * rng.standard_t(DEGREES_OF_FREEDOM, number)


def _row(kind: str, patients: str, outcomes: list[Outcome]) -> tuple[str, ...]:
    held = np.mean([each.score_held for each in outcomes])
    width = np.mean([each.score_width for each in outcomes])
    needed = np.mean([each.patients_held for each in outcomes])
    return kind, patients, f"{held:.0%}", f"{width:.3f}", f"{needed:.0%}"
