"""The operating point: the detector score at which a detection becomes a finding.

Training shifts a detector's scores, so every challenger gets a threshold of its own. It is set on the validation fold:
patients that the detector was neither trained nor judged on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from training.cases import Case, Progress
from training.evaluation.model_version import LOW_THRESHOLD
from training.metrics import Froc, Hits, centre_rule, froc, match

if TYPE_CHECKING:  # these bring torch in
    from mammo.detector import Detection
    from mammo.pipeline import Prelabeller

MIN_CLUSTERS = 5
"""Minimum number of validation clusters; with fewer, no threshold is estimated."""

QUIET_RATE = 0.1
"""False positives per image that are few for any model, also if the champion has none because it finds nothing."""

MIN_THRESHOLD, MAX_THRESHOLD = 0.05, 0.9


def operating_threshold(
    prelabeller: Prelabeller,
    cases: Sequence[Case],
    *,
    rate: float,
    like: Callable[[], Prelabeller] | None = None,
    default: float,
    progress: Progress,
) -> float:
    """Find the lowest score threshold with at most `rate` false positives per image.

    The lowest, because a miss costs more than a false alarm: an annotator deletes a false alarm with one key, but may
    never notice a miss.

    Args:
        cases: the validation fold.
        rate: false positives per image.
        like: loads the champion; then no more are allowed than it has on these cases at its own operating point, or
            than `QUIET_RATE`.
        default: returned when the cases have fewer than `MIN_CLUSTERS` clusters, or nothing was detected.
    """
    if sum(len(case.truth) for case in cases) < MIN_CLUSTERS:
        return default
    champion = like() if like else None
    hits = []
    false = 0
    for index, case in enumerate(cases, 1):
        mammogram = case.read()
        detections = prelabeller.detect(mammogram, threshold=LOW_THRESHOLD)
        hits.append(_hits(detections, case))
        if champion is not None:
            found = _hits(champion.detect(mammogram, threshold=None), case)
            false += found.true.count(False)
        progress(index / len(cases), f"{index} of {len(cases)} validation images")
    allowed = rate if champion is None else min(rate, max(false / len(cases), QUIET_RATE))
    return threshold_at(froc(hits), rate=allowed, default=default)


def _hits(detections: Sequence[Detection], case: Case) -> Hits:
    truth = [finding.box for finding in case.truth]
    return match(detections, truth, uncertain=case.uncertain, rule=centre_rule)


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
