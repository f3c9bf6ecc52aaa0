"""Confidence intervals by the cluster bootstrap: whole patients are drawn, because the views of one are correlated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure with its percentile interval; NaN where it is undefined."""

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
    """Compute a figure over all images, and its percentile bootstrap interval.

    Args:
        statistic: the figure as a function of image weights (whole numbers). It may return NaN for a draw that does
            not define it; such draws are ignored.
        owners: the patient of each image.
        level: coverage of the interval, in (0, 1).
        seed: the same arguments give the same interval.
    """
    if not owners:
        return Interval(math.nan, math.nan, math.nan)
    values = np.array([statistic(weights) for weights in patient_draws(owners, draws=draws, seed=seed)])
    values = values[~np.isnan(values)]
    tail = (1 - level) / 2 * 100
    low, high = np.percentile(values, (tail, 100 - tail)) if values.size else (math.nan, math.nan)
    return Interval(statistic(np.ones(len(owners))), float(low), float(high))


def patient_draws(owners: Sequence[str], *, draws: int, seed: int) -> Iterator[Floats]:
    """Draw as many patients as there are, with replacement; yield the weight of each image in each draw.

    Args:
        owners: the patient of each image; at least one.
    """
    patients, owner = np.unique(np.array(owners), return_inverse=True)
    shares = np.full(len(patients), 1 / len(patients))
    for counts in np.random.default_rng(seed).multinomial(len(patients), shares, size=draws):
        yield counts[owner].astype(np.float64)
