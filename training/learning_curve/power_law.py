"""The power law of a learning curve and its uncertainty, by a posterior over a grid.

    y(n) = a - b n^-c,   b >= 0, a <= 1, c > 0

(Hestness et al. 2017; Figueroa et al. 2012 for small samples.) Three or four points cannot determine three parameters,
so least squares would pretend to a knowledge that is not there. Every curve of a grid is weighted by its likelihood and
by a weak prior, and a forecast is what all of them say together. The grid is written in what is seen: the value at the
largest n, the rise from the smallest to the largest n, and the exponent c; these give a and b.

A measured point differs from the curve by two errors: that of the held-out patients, as far as it differs from point to
point, which is estimated from the evaluations; and that of the training (which patients, which seed), which is not
known and has a prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]

MIN_POINTS = 3
"""Fewest points, of different numbers of patients, to which a curve is fitted."""

LEVEL = 0.8
"""Of all intervals here."""

EXPONENTS = np.geomspace(0.1, 6.0, 16)
TYPICAL_EXPONENT, SPREAD = 0.6, 1.0
"""Prior of the exponent: log-normal around what is found in vision, and wide enough for curves that level off."""

RISES = np.linspace(0.0, 0.6, 37)
TYPICAL_RISE = 0.15
"""Prior of the rise over the observed points: half-normal with this scale."""

TRAINING_ERRORS = np.geomspace(0.01, 0.08, 6)
"""Prior of the standard deviation between trainings: log-uniform."""

LEVELS = np.linspace(-3.0, 3.0, 21)
"""Of the value at the largest n: around its measured value, in its standard deviations."""


@dataclass(frozen=True)
class CurvePoint:
    """A measured point of a learning curve."""

    patients: int
    """Patients that were trained on."""

    value: float
    """The gate's primary score on the held-out patients, in [0, 1]."""

    error: float
    """Standard deviation of its difference to the other points, over draws of the held-out patients."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 80 % interval."""

    value: float
    """Median."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """The posterior over power laws; made by `fit`."""

    exponent: Estimate
    asymptote: Estimate
    """The score with any number of patients, in [0, 1]."""

    _weights: Floats
    _values: Floats
    """Of every curve: its value at the largest n."""

    _slopes: Floats
    """Of every curve: b."""

    _exponents: Floats
    _errors: Floats
    """Of every curve: standard deviation of a further measured point."""

    _largest: int

    def forecast(self, patients: int) -> Estimate:
        """The score that will be measured on the same held-out patients after training on so many patients."""
        means = self._values + self._slopes * (
            float(self._largest) ** -self._exponents - float(patients) ** -self._exponents
        )
        low, high = float(means.min()), float(means.max())
        margin = 3.0 * float(self._errors.max())
        grid = np.linspace(low - margin, min(high + margin, 1.0), 400)
        chance = np.zeros_like(grid)
        for error in np.unique(self._errors):
            those = self._errors == error
            # Binned: a few hundred bins of means are as good as tens of thousands of curves.
            counts, edges = np.histogram(means[those], bins=300, weights=self._weights[those])
            centres = (edges[1:] + edges[:-1]) / 2
            chance += counts @ ndtr((grid[None, :] - centres[:, None]) / error)
        tail = (1 - LEVEL) / 2
        return Estimate(*(float(np.interp(q, chance, grid)) for q in (0.5, tail, 1 - tail)))


def fit(points: Sequence[CurvePoint]) -> PowerLaw | None:
    """Fit a power law; None with fewer than `MIN_POINTS` different numbers of patients."""
    points = sorted(points, key=lambda point: point.patients)
    sizes = np.array([point.patients for point in points], np.float64)
    if len(np.unique(sizes)) < MIN_POINTS:
        return None
    measured = np.array([point.value for point in points])
    errors = np.array([point.error for point in points])
    last = sizes == sizes[-1]
    around = float(np.sqrt(errors[last].mean() ** 2 + 0.04**2))
    grid = np.meshgrid(
        float(measured[last].mean()) + LEVELS * around, RISES, EXPONENTS, TRAINING_ERRORS, indexing="ij"
    )
    value, rise, exponent, training = (axis.ravel() for axis in grid)
    slope = rise / (sizes[0] ** -exponent - sizes[-1] ** -exponent)
    asymptote = value + slope * sizes[-1] ** -exponent
    weight = -0.5 * (rise / TYPICAL_RISE) ** 2
    weight -= 0.5 * (np.log(exponent / TYPICAL_EXPONENT) / SPREAD) ** 2
    for size, seen, error in zip(sizes, measured, errors, strict=True):
        expected = value + slope * (sizes[-1] ** -exponent - size**-exponent)
        variance = error**2 + training**2
        weight -= 0.5 * ((seen - expected) ** 2 / variance + np.log(variance))
    weight = np.where((asymptote <= 1.0) & (value >= 0.0), weight, -np.inf)
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    further = np.sqrt(float(np.mean(errors)) ** 2 + training**2)
    return PowerLaw(
        exponent=_weighted(exponent, weight),
        asymptote=_weighted(asymptote, weight),
        _weights=weight,
        _values=value,
        _slopes=slope,
        _exponents=exponent,
        _errors=further,
        _largest=int(sizes[-1]),
    )


def _weighted(values: Floats, weights: Floats) -> Estimate:
    order = np.argsort(values)
    chance = np.cumsum(weights[order])
    tail = (1 - LEVEL) / 2
    return Estimate(*(float(values[order][np.searchsorted(chance, q)]) for q in (0.5, tail, 1 - tail)))
