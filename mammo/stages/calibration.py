"""Calibration: the lowest score from which on predictions may stand unseen, learnt from measured corrections.

Thresholds are tried from the highest down, and the first one that fails ends the search (fixed sequence testing, as in
Angelopoulos et al. 2021, "Learn then Test"): so the chance that the chosen one is worse than promised stays below
1 - confidence, although several were tried. Each is tested by the exact binomial bound of Clopper and Pearson (1934).

Images are taken as independent. Views of one patient are not quite, so the true confidence is a little lower. And a
correction is only as good as its reader: prelabels accepted in haste are left out, and the control says how far
people follow what they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import betaincinv

from mammo.efforts.effort_records import EffortRecord
from mammo.stages.rules import StageRules

THRESHOLDS = tuple(round(0.99 - 0.01 * step, 2) for step in range(50))
"""0.99 to 0.50: an empty prediction has a score of 0.5 and is never accepted."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A threshold and what it rests on."""

    threshold: float
    images: int
    """Corrections of predictions at or above it."""

    right: int
    bound: float
    """The part that is right is at least this, with the rules' confidence."""


def is_right(record: EffortRecord, rules: StageRules) -> bool:
    """Whether a prediction could have stood without a person."""
    effort = record.effort
    if effort.added or effort.deleted:
        return False
    return effort.untouched or (effort.dice is not None and effort.dice >= rules.right_dice)


def calibrate(records: Iterable[EffortRecord], rules: StageRules) -> Calibration | None:
    """The lowest threshold that holds; None where none does.

    Args:
        records: of prelabelled images, of one model version.
    """
    judged = [
        (record.score, is_right(record, rules))
        for record in records
        if record.arm == "prelabelled" and not record.hasty and record.score is not None
    ]
    found: Calibration | None = None
    for threshold in THRESHOLDS:
        above = [right for score, right in judged if score >= threshold]
        if lower_bound(len(above), len(above), rules.confidence) < rules.right_share:
            continue  # too few to pass even if all were right: says nothing about those below
        bound = lower_bound(sum(above), len(above), rules.confidence)
        if bound < rules.right_share:
            break
        found = Calibration(threshold=threshold, images=len(above), right=sum(above), bound=round(bound, 4))
    return found


def lower_bound(successes: int, trials: int, confidence: float) -> float:
    """One-sided exact lower confidence bound of a proportion (Clopper and Pearson 1934); 0 without any success."""
    if successes == 0:
        return 0.0
    return float(betaincinv(successes, trials - successes + 1, 1 - confidence))
