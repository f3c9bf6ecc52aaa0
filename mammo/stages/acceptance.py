"""Acceptance: which prediction becomes an annotation that no person has looked at."""

from __future__ import annotations

from typing import Literal

from mammo.annotations import Prelabel
from mammo.blinding import uniform_hash
from mammo.stages.log import StageChange

Refusal = Literal["not_automatic", "other_model", "blind", "empty", "low_score", "audit"]


def audited(project: int, task: int, share: float) -> bool:
    """Whether a task belongs to the random audit share: by a hash, so that nobody chooses and it never changes."""
    return uniform_hash("audit", project, str(task)) < share


def refusal(prelabel: Prelabel, change: StageChange | None, *, blind: bool) -> Refusal | None:
    """Why a prediction goes to a person; None: it may stand.

    Args:
        change: that made the project what it is.
        blind: the task is of the control.
    """
    if change is None or change.stage != "automatic" or change.threshold is None:
        return "not_automatic"
    if prelabel.model_version != change.model_version:
        return "other_model"
    if blind:
        return "blind"
    if not prelabel.regions:
        return "empty"  # "nothing found" has no score that could be calibrated, and a miss costs most
    if prelabel.score < change.threshold:
        return "low_score"
    return "audit" if audited(prelabel.project, prelabel.task, change.audit_share or 0.0) else None
