"""Logistic regression of a few features, and the area under the ROC curve of what it returns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.stats import rankdata

Vector = npt.NDArray[np.float64]


def logit(probability: float) -> float:
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return float(np.log(bounded / (1 - bounded)))


def logistic(features: Vector, labels: Vector) -> Vector:
    """Fit a bias and coefficients by maximum likelihood, with a small ridge on standardised features."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(features)), (features - mean) / spread])
    sign = 2 * labels - 1

    def loss(weights: Vector) -> float:
        return float(np.logaddexp(0, -sign * (design @ weights)).mean() + 1e-2 * (weights[1:] ** 2).sum())

    weights = minimize(loss, np.zeros(design.shape[1])).x
    coefficients = weights[1:] / spread
    return np.array([weights[0] - coefficients @ mean, *coefficients])


def log_odds(weights: Vector, features: Vector) -> Vector:
    return np.asarray(weights[0] + features @ weights[1:])


def auc(scores: Vector, labels: Vector) -> float:
    ranks = rankdata(scores)
    positive = labels == 1
    number = int(positive.sum())
    return float((ranks[positive].sum() - number * (number + 1) / 2) / (number * (len(labels) - number)))
