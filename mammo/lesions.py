"""Lesions: which findings of CC and MLO are the same lesion of a breast.

A lesion lies as far behind the nipple in one view as in the other (`mammo.landmarks`), is about as large, and is found
in both. The log-odds that two findings are one lesion are linear in these:

    log p / (1 - p) = BIAS + PER_MM |d_cc - d_mlo| + PER_LOG_SIZE |log s_cc - log s_mlo| + PER_LOGIT min(logit score)

with the distance d behind the nipple in mm, and the side s of the square with the area of the box. The coefficients
were fitted on phantoms (`benchmarks/two_views.py`), whose clusters are placed by this very distance. A real breast is
rotated and pressed between the views, so a pair is a proposal, and a person decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo.findings import Finding
from mammo.landmarks import Landmarks

BIAS = 0.467
PER_MM = -0.068
PER_LOG_SIZE = -2.337
PER_LOGIT = 0.902

MIN_PROBABILITY = 0.5
"""Least probability of a proposed pair."""

TOLERANCE_MM = 20.0
"""Largest difference of the distances behind the nipple of a proposed pair."""

EDGE = 1e-4
"""Scores are kept this far from 0 and 1, whose logits are infinite."""


@dataclass(frozen=True, kw_only=True)
class ViewFindings:
    """The findings on one view of a breast, and its landmarks."""

    findings: Sequence[Finding]
    landmarks: Landmarks


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A finding in CC and one in MLO that are probably the same lesion."""

    cc: Finding
    mlo: Finding
    probability: float
    """In [0, 1]; see the module."""


def same_lesions(cc: ViewFindings, mlo: ViewFindings) -> list[Pair]:
    """Return the pairs of findings of two views that are probably the same lesion, most probable first.

    Each finding is in one pair at most: the assignment has the greatest sum of log-odds (Hungarian method).
    """
    # Here, because the backend, which imports this module, starts without scipy.
    from scipy.optimize import linear_sum_assignment

    if not cc.findings or not mlo.findings:
        return []
    odds = np.array([[log_odds(one, other, cc=cc, mlo=mlo) for other in mlo.findings] for one in cc.findings])
    least = math.log(MIN_PROBABILITY / (1 - MIN_PROBABILITY))
    rows, columns = linear_sum_assignment(np.minimum(least - odds, 0))
    pairs = [
        Pair(
            cc=cc.findings[row], mlo=mlo.findings[column], probability=1 / (1 + math.exp(-odds[row, column]))
        )
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if odds[row, column] > least
    ]
    return sorted(pairs, key=lambda pair: -pair.probability)


def log_odds(one: Finding, other: Finding, *, cc: ViewFindings, mlo: ViewFindings) -> float:
    """Return the log-odds that a finding in CC and one in MLO are the same lesion; -inf beyond `TOLERANCE_MM`."""
    apart = abs(cc.landmarks.strip_mm(*one.box.centre) - mlo.landmarks.strip_mm(*other.box.centre))
    if apart > TOLERANCE_MM:
        return -math.inf
    sizes = abs(math.log(_side_mm(one, cc.landmarks) / _side_mm(other, mlo.landmarks)))
    score = min(max(min(one.score, other.score), EDGE), 1 - EDGE)
    return BIAS + PER_MM * apart + PER_LOG_SIZE * sizes + PER_LOGIT * math.log(score / (1 - score))


def _side_mm(finding: Finding, landmarks: Landmarks) -> float:
    spacing = landmarks.spacing
    return math.sqrt(finding.box.area * spacing.row_mm * spacing.column_mm)
