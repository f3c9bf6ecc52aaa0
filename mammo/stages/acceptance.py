"""Acceptance: which predictions become annotations without review."""

from __future__ import annotations

from typing import Literal

from mammo.annotations import Prelabel
from mammo.blinding import uniform_hash
from mammo.stages.log import StageChange

Refusal = Literal["not_automatic", "other_model", "blind", "empty", "cut", "low_score", "audit"]


def audited(project: int, task: int, share: float) -> bool:
    """Return whether a task belongs to the random audit share; a hash decides, so nobody chooses and it is final."""
    return uniform_hash("audit", project, str(task)) < share


def refusal(prelabel: Prelabel, change: StageChange | None, *, blind: bool) -> Refusal | None:
    """Return why a prediction needs review by a person; None if it may be accepted.

    Args:
        change: Last change of the project's stage.
        blind: Whether the task belongs to the control arm.
    """
    if change is None or change.stage != "automatic" or change.threshold is None:
        return "not_automatic"
    if prelabel.model_version != change.model_version:
        return "other_model"
    if blind:
        return "blind"
    if not prelabel.regions:
        return "empty"  # an empty prediction has no score to calibrate, and a miss costs most
    if prelabel.num_cut:
        return "cut"  # the model found more than it would say
    if prelabel.score < change.threshold:
        return "low_score"
    return "audit" if audited(prelabel.project, prelabel.task, change.audit_share or 0.0) else None
