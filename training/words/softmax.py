"""A softmax regression with an L2 penalty; penalty and temperature are chosen by folds of patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from mammo.words.head import MAX_DEVIATION

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

FOLDS = 5
PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
TEMPERATURES = np.linspace(0.5, 3, 51)


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftmaxFit:
    """A fitted regression."""

    mean: Floats
    scale: Floats
    """D each: what the inputs are standardised by."""

    weights: Floats
    """(D + 1) x K; the last row has the constants."""

    penalty: float
    temperature: float
    held_out: Floats
    """N x K probabilities of each example, by a regression that did not see its patient."""

    def probabilities(self, x: Floats) -> Floats:
        """Return the probabilities of the classes: N x D to N x K."""
        return np.asarray(
            softmax(_logits(_standard(x, self.mean, self.scale), self.weights) / self.temperature, axis=1)
        )


def fit(x: Floats, y: Indices, patients: Sequence[str], *, num_classes: int) -> SoftmaxFit:
    """Fit the probabilities of K classes: the mean of -log p(y) + penalty * |weights|^2 is minimised.

    Args:
        x: N x D, finite.
        y: N classes, 0 to K - 1.
        patients: the patient of each example; at least `FOLDS` different ones. All of a patient are in one fold.

    Raises:
        ValueError: there are fewer patients.
    """
    names = sorted(set(patients))
    if len(names) < FOLDS:
        raise ValueError(f"expected at least {FOLDS} patients, got {len(names)}")
    folds = np.array([names.index(patient) % FOLDS for patient in patients])
    mean, scale = x.mean(0), x.std(0) + 1e-6
    x = _standard(x, mean, scale)
    held_out = {penalty: _held_out(x, y, folds, penalty, num_classes) for penalty in PENALTIES}
    penalty = min(PENALTIES, key=lambda each: _loss(held_out[each], y))
    temperature = float(min(TEMPERATURES, key=lambda each: _loss(held_out[penalty] / each, y)))
    return SoftmaxFit(
        mean=mean,
        scale=scale,
        weights=_minimised(x, y, penalty=penalty, num_classes=num_classes),
        penalty=penalty,
        temperature=temperature,
        held_out=np.asarray(softmax(held_out[penalty] / temperature, axis=1)),
    )


def _held_out(x: Floats, y: Indices, folds: Indices, penalty: float, num_classes: int) -> Floats:
    """Return the N x K logits of each example, by a regression on the other folds."""
    logits = np.zeros((len(y), num_classes))
    for fold in range(FOLDS):
        inside = folds == fold
        weights = _minimised(x[~inside], y[~inside], penalty=penalty, num_classes=num_classes)
        logits[inside] = _logits(x[inside], weights)
    return logits


def _minimised(x: Floats, y: Indices, *, penalty: float, num_classes: int) -> Floats:
    known = np.eye(num_classes)[y]
    inputs = np.hstack([x, np.ones((len(x), 1))])

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, num_classes)
        logs = log_softmax(inputs @ weights, axis=1)
        gradient = inputs.T @ (np.exp(logs) - known) / len(x)
        gradient[:-1] += 2 * penalty * weights[:-1]
        return float(-(logs * known).sum() / len(x) + penalty * (weights[:-1] ** 2).sum()), gradient.ravel()

    start = np.zeros(inputs.shape[1] * num_classes)
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(-1, num_classes))


def _standard(x: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.clip((x - mean) / scale, -MAX_DEVIATION, MAX_DEVIATION)


def _logits(x: Floats, weights: Floats) -> Floats:
    return np.asarray(x @ weights[:-1] + weights[-1])


def _loss(logits: Floats, y: Indices) -> float:
    return float(-log_softmax(logits, axis=1)[np.arange(len(logits)), y].mean())
