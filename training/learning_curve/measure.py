"""The measure of a learning curve: the gate's primary score, per patient where errors are estimated."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from training.evaluation.model_version import Evaluation
from training.gate.gate import GateRule, primary_score

Floats = npt.NDArray[np.float64]


def only(evaluation: Evaluation, patients: Collection[str]) -> Evaluation:
    """The part of an evaluation that is of some patients, in the order of the images' hashes."""
    images = sorted(
        (image for image in evaluation.images if image.patient in patients), key=lambda each: each.image
    )
    return Evaluation(evaluation.version, evaluation.threshold, tuple(images))


def value(evaluation: Evaluation, *, rule: GateRule) -> float:
    """The primary score over all images, in [0, 1]; NaN without a true cluster."""
    return float(primary_score(evaluation, rule=rule)(np.ones(len(evaluation.images))))


def pseudo_values(evaluation: Evaluation, *, rule: GateRule) -> Floats:
    """The share of each patient in the score, by the jackknife: T y - (T - 1) y(without the patient).

    Their mean is nearly the score, and their standard deviation over sqrt(T) its standard error, though sensitivity at
    a rate is no mean over patients (Efron and Tibshirani 1993, chapter 11).

    Returns:
        One value per patient, in the order of their keys; NaN where the others have no true cluster.
    """
    score = primary_score(evaluation, rule=rule)
    owners = np.array([image.patient for image in evaluation.images])
    patients = evaluation.patients
    whole = score(np.ones(len(owners)))
    number = len(patients)
    return np.array(
        [number * whole - (number - 1) * score((owners != each).astype(np.float64)) for each in patients]
    )


def paired_errors(evaluations: Sequence[Evaluation], *, rule: GateRule) -> list[float]:
    """Standard deviation of what each score has of its own, over draws of the patients that all were measured on.

    Zeros with fewer than two patients or two evaluations.
    """
    values = np.array([pseudo_values(each, rule=rule) for each in evaluations])
    values = values[:, ~np.isnan(values).any(axis=0)]
    number = values.shape[1]
    if number < 2 or len(values) < 2:
        return [0.0 for _ in evaluations]
    # The mean holds a share of each score's own deviation, which is given back.
    own = (values - values.mean(axis=0)) * np.sqrt(len(values) / (len(values) - 1))
    return [float(each) for each in np.std(own, axis=1, ddof=1) / np.sqrt(number)]
