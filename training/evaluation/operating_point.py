"""The operating point: the detector score from which a detection becomes a finding that annotators see.

Training shifts a detector's scores, so a challenger's threshold is set anew, on patients it was not trained on
and that do not judge it: the validation fold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mammo.dicom import Mammogram
from training.cases import Case, Progress
from training.evaluation.model_version import LOW_THRESHOLD
from training.metrics import Froc, centre_rule, froc, match

if TYPE_CHECKING:
    from mammo.detector import Detection

MIN_CLUSTERS = 5
"""Fewest validation clusters that can tell anything about a threshold."""

LOWEST, HIGHEST = 0.05, 0.9


class Detects(Protocol):
    def detect(self, mammogram: Mammogram, *, threshold: float | None) -> list[Detection]: ...


def operating_threshold(
    detector: Detects, cases: Sequence[Case], *, rate: float, default: float, progress: Progress
) -> float:
    """The lowest score threshold with at most `rate` false positives per image.

    The lowest, because the mistakes cost differently: an annotator deletes a false alarm with one key and may never
    notice a miss.

    Args:
        cases: the validation fold.
        rate: false positives per image.
        default: the answer where the cases hold fewer than `MIN_CLUSTERS` clusters or nothing is found.
    """
    if sum(len(case.truth) for case in cases) < MIN_CLUSTERS:
        return default
    hits = []
    for index, case in enumerate(cases, 1):
        detections = detector.detect(case.read(), threshold=LOW_THRESHOLD)
        truth = [finding.box for finding in case.truth]
        hits.append(match(detections, truth, uncertain=case.uncertain, rule=centre_rule))
        progress(index / len(cases), f"{index} of {len(cases)} validation images")
    return threshold_at(froc(hits), rate=rate, default=default)


def threshold_at(curve: Froc, *, rate: float, default: float) -> float:
    """The lowest threshold of a curve with at most `rate` false positives per image, kept believable."""
    lowest = float(curve.thresholds[curve.false_positives <= rate][-1])
    if not math.isfinite(lowest):
        return default
    return round(min(max(lowest, LOWEST), HIGHEST), 4)
