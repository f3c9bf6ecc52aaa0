"""The confidence interval of a kappa, by drawing patients: the lesions and views of one are not independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

DRAWS = 1000
"""Bootstrap samples of an interval."""

MIN_PATIENTS = 10
"""Patients from which an interval is stated: drawing from fewer, nearly all samples look alike."""

MIN_DEFINED = 0.9
"""Share of the samples in which kappa must be defined, or no interval is stated."""

Rating = TypeVar("Rating")


@dataclass(frozen=True)
class KappaInterval:
    """A kappa with its 95 % percentile interval; None where they cannot be stated."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        return f"{self.value:.3f}" + ("" if self.low is None else f" ({self.low:.3f} to {self.high:.3f})")


def kappa_interval(
    ratings: Sequence[tuple[str, Rating]], kappa: Callable[[Sequence[Rating]], float | None]
) -> KappaInterval:
    """Return a kappa, with an interval from `MIN_PATIENTS` patients on; the same ratings give the same interval.

    Args:
        ratings: patient and ratings of each lesion, image or patient.
        kappa: computes it; None where it is undefined.
    """
    value = kappa([rating for _, rating in ratings])
    by_patient: dict[str, list[Rating]] = {}
    for patient, rating in ratings:
        by_patient.setdefault(patient, []).append(rating)
    if value is None or len(by_patient) < MIN_PATIENTS:
        return KappaInterval(value)
    groups, rng = [by_patient[patient] for patient in sorted(by_patient)], np.random.default_rng(0)
    draws = (rng.integers(0, len(groups), len(groups)) for _ in range(DRAWS))
    drawn = [kappa([rating for index in draw for rating in groups[index]]) for draw in draws]
    defined = [each for each in drawn if each is not None]
    if len(defined) < MIN_DEFINED * DRAWS:
        return KappaInterval(value)
    low, high = np.percentile(defined, (2.5, 97.5))
    return KappaInterval(value, round(float(low), 4), round(float(high), 4))
