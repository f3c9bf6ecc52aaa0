"""FROC curves of an evaluation for its verdict's record, with a band over draws of patients."""

from __future__ import annotations

import numpy as np

from mammo.verdicts.record import Curve
from training.evaluation.model_version import Evaluation
from training.metrics import Pooled, patient_draws, sensitivity_at

RATES = tuple(round(float(rate), 4) for rate in np.geomspace(0.05, 4, 33))
"""False positives per image at which a curve is kept."""

DRAWS = 300


def curve_of(evaluation: Evaluation, *, seed: int = 0) -> Curve | None:
    """Return the FROC curve at `RATES`, with its 5th and 95th percentile over draws; None without a lesion."""
    if not evaluation.num_lesions:
        return None
    pooled = Pooled.of([image.hits for image in evaluation.images])
    owners = [image.patient for image in evaluation.images]
    lesions = np.array([image.hits.num_lesions for image in evaluation.images], np.float64)
    draws = [
        [sensitivity_at(curve, rate) for rate in RATES]
        for weights in patient_draws(owners, draws=DRAWS, seed=seed)
        if weights @ lesions
        for curve in [pooled.curve(weights)]
    ]
    low, high = np.percentile(draws, (5, 95), axis=0)
    values = [sensitivity_at(pooled.curve(), rate) for rate in RATES]
    return Curve(
        false_positives=RATES,
        sensitivity=tuple(values),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
    )
