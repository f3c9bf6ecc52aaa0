"""Confidence intervals by drawing patients with replacement: the views of one person are no independent samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure with its percentile interval; NaN where it does not exist."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "-" if math.isnan(self.value) else f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


def interval(
    statistic: Callable[[Floats], float],
    owners: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """The figure over all images, and between which values it lies in the middle `level` of the draws.

    Args:
        statistic: the figure when each image counts as often as its weight says (whole numbers); may give NaN,
            where the draw holds nothing to measure: such draws are left out.
        owners: the patient of each image.
        level: in (0, 1).
        seed: the same arguments give the same interval.
    """
    patients = sorted(set(owners))
    if not patients:
        return Interval(math.nan, math.nan, math.nan)
    place = {patient: index for index, patient in enumerate(patients)}
    owner = np.array([place[each] for each in owners], np.intp)
    draw = np.random.default_rng(seed).multinomial(
        len(patients), np.full(len(patients), 1 / len(patients)), size=draws
    )
    values = np.array([statistic(counts[owner].astype(np.float64)) for counts in draw])
    values = values[~np.isnan(values)]
    tail = (1 - level) / 2 * 100
    low, high = np.percentile(values, (tail, 100 - tail)) if values.size else (math.nan, math.nan)
    return Interval(statistic(np.ones(len(owners))), float(low), float(high))
