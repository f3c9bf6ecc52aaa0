"""Calibration: the lowest score from which predictions may be accepted without review, from measured corrections.

Thresholds are tested from the highest down, and the first failure ends the search (fixed sequence testing, as in
Angelopoulos et al. 2021, "Learn then Test"). So the probability that the chosen threshold does not hold stays below
1 - confidence, although several are tested. Each test uses the exact binomial bound of Clopper and Pearson (1934).

Images are assumed to be independent. Views of one patient are not, so the true confidence is slightly lower. A
correction is only as good as its reader: hasty ones are left out, and the control arm shows how far readers follow
what they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mammo.efforts.effort_records import EffortRecord
from mammo.stages.rules import StageRules

THRESHOLDS = tuple(round(0.99 - 0.01 * step, 2) for step in range(50))
"""0.99 down to 0.50, the score of an empty prediction, which is never accepted."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A calibrated threshold and its evidence."""

    threshold: float
    """Lowest accepted score."""

    images: int
    """Corrections of predictions with this score or higher."""

    right: int
    """Number of those whose prediction was right."""

    bound: float
    """Lower confidence bound of the share of right predictions."""


def is_right(record: EffortRecord, rules: StageRules) -> bool:
    """Return whether a prediction was good enough to be accepted without review."""
    effort = record.effort
    if effort.added or effort.deleted:
        return False
    return effort.untouched or (effort.dice is not None and effort.dice >= rules.right_dice)


def calibrate(records: Iterable[EffortRecord], rules: StageRules) -> Calibration | None:
    """Return the lowest threshold that holds; None if none does.

    Args:
        records: Records of prelabelled images of one model version.
    """
    scored = [
        (record.score, is_right(record, rules))
        for record in records
        if record.arm == "prelabelled" and not record.hasty and record.score is not None
    ]
    calibration: Calibration | None = None
    for threshold in THRESHOLDS:
        above = [right for score, right in scored if score >= threshold]
        if lower_bound(len(above), len(above), rules.confidence) < rules.right_share:
            continue  # too few images to pass even if all were right; lower thresholds have more
        bound = lower_bound(sum(above), len(above), rules.confidence)
        if bound < rules.right_share:
            break
        calibration = Calibration(
            threshold=threshold, images=len(above), right=sum(above), bound=round(bound, 4)
        )
    return calibration


def lower_bound(successes: int, trials: int, confidence: float) -> float:
    """Return the one-sided exact lower confidence bound of a proportion (Clopper and Pearson 1934), in [0, 1]."""
    # Here, because the backend, which imports this module, starts without scipy.
    from scipy.special import betaincinv

    if successes == 0:
        return 0.0
    return float(betaincinv(successes, trials - successes + 1, 1 - confidence))
