"""Heads for tests: sure of a word by the elongation of the outline alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from mammo.words.features import NUM_FEATURES


def content(*, project: int = 3, proposed: bool = True, dataset: str = "cd" * 32) -> dict[str, Any]:
    """A head that calls long outlines linear and round ones grouped; of morphology it knows nothing."""
    weights = np.zeros((NUM_FEATURES + 1, 2))
    weights[0], weights[-1] = (-10, 10), (5, -5)
    head = {
        "words": ["grouped", "linear"],
        "mean": [0.0] * NUM_FEATURES,
        "scale": [1.0] * NUM_FEATURES,
        "weights": weights.tolist(),
        "temperature": 1.0,
    }
    rows = [
        {"word": word, "findings": 60, "patients": 40, "threshold": 0.8, "proposed": proposed}
        | {"sentence": f"{word}: so says the rule"}
        for word in head["words"]
    ]
    common = {"bar": 0.9, "agreement": None, "proposed_before": 0}
    nothing = {"head": None, "sentence": "morphology: no head could be fitted", "words": []}
    return {
        "schema": 1,
        "project": project,
        "dataset": dataset,
        "left_out": {},
        "descriptors": {
            "distribution": common | {"head": head, "sentence": "", "words": rows},
            "morphology": common | nothing,
        },
    }
