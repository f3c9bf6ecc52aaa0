"""Figures of a head: what it says about findings of patients that it has not seen, against what people said."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo.stages.calibration import lower_bound
from training.metrics.bootstrap import Interval, interval
from training.words.softmax import Floats, Indices

Bools = npt.NDArray[np.bool_]

BINS = 10
"""Bins of probability for the calibration error."""

CONFIDENCE = 0.975
"""One-sided: the lower end of an interval of 95 %."""


def share(right: Bools, among: Bools, patients: Sequence[str]) -> Interval:
    """Return which share of some findings is right, with its interval over patients."""
    return interval(
        lambda weights: (
            float((weights * (right & among)).sum() / total)
            if (total := (weights * among).sum())
            else math.nan
        ),
        patients,
    )


def lower_limit(right: Bools, among: Bools, patients: Sequence[str]) -> float:
    """Return the lower limit of the share that is right, in [0, 1]; 0 without any.

    The bootstrap's limit is 1 if all are right, however few. So it is at most `exact_limit`.
    """
    return min(exact_limit(right, among, patients), share(right, among, patients).low) if among.any() else 0.0


def exact_limit(right: Bools, among: Bools, patients: Sequence[str]) -> float:
    """Return the exact lower bound of a proportion of patients (Clopper and Pearson 1934), in [0, 1]; 0 without any.

    A patient counts as right if all of her findings are.
    """
    owners = np.array(patients)
    mine, wrong = set(owners[among]), set(owners[among & ~right])
    return lower_bound(len(mine) - len(wrong), len(mine), CONFIDENCE)


def calibration_error(probabilities: Floats, right: Bools) -> float | None:
    """Return the expected calibration error, in [0, 1]; None without findings.

    The mean over `BINS` bins of |share right - mean probability|, weighted by their findings (Guo et al. 2017).

    Args:
        probabilities: of the word that is said, N in [0, 1].
        right: whether it is right.
    """
    if not len(right):
        return None
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return float(
        sum(
            abs(right[bins == each].mean() - probabilities[bins == each].mean()) * (bins == each).mean()
            for each in set(bins.tolist())
        )
    )


def confusion(truth: Indices, said: Indices, *, num_words: int) -> list[list[int]]:
    """Return the number of findings by the word that people said (row) and the head's (column)."""
    table = np.zeros((num_words, num_words), int)
    np.add.at(table, (truth, said), 1)
    return [[int(each) for each in row] for row in table]


def figure(found: Interval) -> list[float | None]:
    """Return a figure and its limits as JSON values; None where it is undefined."""
    return [None if math.isnan(each) else round(each, 4) for each in (found.value, found.low, found.high)]
