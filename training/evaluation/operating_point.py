"""The operating point: the detector score at which a detection becomes a finding.

Training shifts a detector's scores, so every challenger gets a threshold of its own. It is set on the validation fold:
patients that the detector was neither trained nor judged on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.cases import Case, Progress
from training.evaluation.model_version import LOW_THRESHOLD
from training.metrics import Froc, centre_rule, froc, match

if TYPE_CHECKING:  # brings torch in
    from mammo.pipeline import Prelabeller

MIN_CLUSTERS = 5
"""Minimum number of validation clusters; with fewer, no threshold is estimated."""

MIN_THRESHOLD, MAX_THRESHOLD = 0.05, 0.9


def operating_threshold(
    prelabeller: Prelabeller, cases: Sequence[Case], *, rate: float, default: float, progress: Progress
) -> float:
    """Find the lowest score threshold with at most `rate` false positives per image.

    The lowest, because a miss costs more than a false alarm: an annotator deletes a false alarm with one key, but may
    never notice a miss.

    Args:
        cases: the validation fold.
        rate: false positives per image.
        default: returned when the cases have fewer than `MIN_CLUSTERS` clusters, or nothing was detected.
    """
    if sum(len(case.truth) for case in cases) < MIN_CLUSTERS:
        return default
    hits = []
    for index, case in enumerate(cases, 1):
        detections = prelabeller.detect(case.read(), threshold=LOW_THRESHOLD)
        truth = [finding.box for finding in case.truth]
        hits.append(match(detections, truth, uncertain=case.uncertain, rule=centre_rule))
        progress(index / len(cases), f"{index} of {len(cases)} validation images")
    return threshold_at(froc(hits), rate=rate, default=default)


def threshold_on_normals(scores: Sequence[Sequence[float]], *, rate: float) -> float:
    """The lowest threshold with at most `rate` detections per image, within [MIN_THRESHOLD, MAX_THRESHOLD].

    Args:
        scores: of the detections in each image; at least one image. The images have no lesion, so all are false.
    """
    found = sorted((score for image in scores for score in image), reverse=True)
    allowed = math.floor(rate * len(scores))
    lowest = found[allowed] if len(found) > allowed else 0.0
    # Just above the first score that is too many.
    return min(max(math.floor(lowest * 1e4 + 1) / 1e4, MIN_THRESHOLD), MAX_THRESHOLD)


def threshold_at(curve: Froc, *, rate: float, default: float) -> float:
    """The lowest threshold with at most `rate` false positives per image, within [MIN_THRESHOLD, MAX_THRESHOLD]."""
    lowest = float(curve.thresholds[curve.false_positives <= rate][-1])
    if not math.isfinite(lowest):
        return default
    return round(min(max(lowest, MIN_THRESHOLD), MAX_THRESHOLD), 4)
