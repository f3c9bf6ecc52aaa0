"""Curve: the points of a project's learning curve, their power law, and one sentence for people.

Training at every share of the patients after each run would cost as much as the run again and again. So after a judged
run the points that the project's runs have left behind are used: dataset versions grow, a patient keeps her fold, and
so every run has measured the patients that its predecessors held out. All points are compared on the held-out patients
that they have in common. `training.learning_curve.shares` measures 25, 50, 75 and 100 % on demand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.evaluation.model_version import Evaluation
from training.evaluation.strict_json import to_strict_json
from training.gate.gate import GateRule, primary_score
from training.learning_curve.measure import only, paired_errors, pseudo_values, value
from training.learning_curve.power import MorePatients, more_patients
from training.learning_curve.power_law import CurvePoint, Estimate, PowerLaw, fit
from training.metrics import interval

GAIN = 0.05
"""The gain of the primary score that people ask about."""

AHEAD = (1.25, 1.5, 2.0)
"""Multiples of the largest number of patients at which the score is forecast."""

DRAWS = 200
"""Bootstrap draws of a point's interval."""


@dataclass(frozen=True)
class Measurement:
    """A model that was trained on so many patients, measured on held-out ones."""

    patients: int
    """Patients that it was trained on."""

    evaluation: Evaluation
    source: str
    """Where it is from, such as a run, or `50 %`."""


@dataclass(frozen=True)
class Judged:
    """What a project's models were last judged on."""

    champion: Evaluation
    challenger: Evaluation
    held_out: int
    """Patients that are held out for the gate; those of the evaluations, but for a provisional model."""


@dataclass(frozen=True)
class Point:
    """A measured point as it is shown."""

    patients: int
    score: Estimate
    """With its 80 % interval over draws of the held-out patients."""

    source: str


@dataclass(frozen=True)
class Curve:
    """A learning curve."""

    measure: str
    """The gate's primary score: `mean`, `sensitivity` or `dice`."""

    held_out: int
    """Patients on whom all points are measured."""

    method: str
    """How the points were made, in a sentence."""

    points: tuple[Point, ...]
    law: PowerLaw | None
    """None with too few points."""

    missing: MorePatients | None
    """None without a judged run, or with too few held-out patients."""

    @property
    def sentence(self) -> str:
        """One sentence for people."""
        if self.missing is None:
            return "too few held-out patients to say when the gate could tell a gain; correct more patients"
        return self.missing.sentence

    def to_json(self) -> dict[str, Any]:
        """JSON values; `law` has exponent, asymptote and forecasts."""
        law = None
        if self.law is not None:
            largest = max(point.patients for point in self.points)
            ahead = [math.ceil(times * largest) for times in AHEAD]
            law = {
                "exponent": asdict(self.law.exponent),
                "asymptote": asdict(self.law.asymptote),
                "forecast": [{"patients": number, **asdict(self.law.forecast(number))} for number in ahead],
            }
        content = {
            "measure": self.measure,
            "held_out": self.held_out,
            "method": self.method,
            "points": [
                {"patients": point.patients, **asdict(point.score), "source": point.source}
                for point in self.points
            ],
            "law": law,
            "missing": None
            if self.missing is None
            else {
                "gain": self.missing.gain,
                "spread": self.missing.spread,
                **asdict(self.missing.patients),
            },
            "sentence": self.sentence,
        }
        return dict(to_strict_json(content))


def curve_of(
    measurements: Sequence[Measurement],
    judged: Judged | None,
    *,
    rule: GateRule,
    method: str,
    gain: float = GAIN,
) -> Curve:
    """Build the curve.

    Args:
        measurements: those without a held-out patient in common with the others are left out, oldest first.
        judged: None: never.
        rule: whose primary score is measured, and whose confidence a gain must reach.
        gain: of the primary score.
    """
    shared, used = _comparable(measurements)
    evaluations = [only(each.evaluation, shared) for each in used]
    points = [_point(each, evaluation, rule=rule) for each, evaluation in zip(used, evaluations, strict=True)]
    errors = paired_errors(evaluations, rule=rule)
    measured = [
        CurvePoint(point.patients, point.score.value, error)
        for point, error in zip(points, errors, strict=True)
    ]
    return Curve(
        measure=rule.primary,
        held_out=len(shared),
        method=method,
        points=tuple(sorted(points, key=lambda point: point.patients)),
        law=fit([each for each in measured if not math.isnan(each.value)]),
        missing=None if judged is None else _missing(judged, rule=rule, gain=gain),
    )


def _comparable(measurements: Sequence[Measurement]) -> tuple[set[str], list[Measurement]]:
    """The held-out patients that all have in common, and the measurements; the newest one is always used."""
    shared: set[str] = set()
    used: list[Measurement] = []
    for each in reversed(measurements):
        patients = set(each.evaluation.patients)
        common = shared & patients if used else patients
        if common and only(each.evaluation, common).num_lesions:
            shared, used = common, [each, *used]
    return shared, used


def _point(measurement: Measurement, evaluation: Evaluation, *, rule: GateRule) -> Point:
    owners = [image.patient for image in evaluation.images]
    score = interval(primary_score(evaluation, rule=rule), owners, level=0.8, draws=DRAWS)
    estimate = Estimate(value(evaluation, rule=rule), score.low, score.high)
    return Point(measurement.patients, estimate, measurement.source)


def _missing(judged: Judged, *, rule: GateRule, gain: float) -> MorePatients | None:
    patients = set(judged.champion.patients)
    before, after = (
        pseudo_values(only(each, patients), rule=rule) for each in (judged.champion, judged.challenger)
    )
    differences = after - before
    return more_patients(differences[~np.isnan(differences)], held_out=judged.held_out, rule=rule, gain=gain)
