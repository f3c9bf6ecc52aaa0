"""A task without a prediction: counted, logged, and answered with the code of what went wrong."""

from __future__ import annotations

from typing import Any

import structlog

from backend.logs import where
from backend.metrics import Metrics
from backend.model_host import Loaded
from backend.schemas import Task
from mammo.errors import MammoError

NOTHING_SCORE = 0.0
"""Score of a task without a prediction: it is the first that a person should look at."""

log = structlog.get_logger()

Prediction = dict[str, Any]


def nothing(error: Exception, *, task: Task, loaded: Loaded, metrics: Metrics) -> Prediction:
    """An empty prediction with the code of what went wrong in `reason`; the whole story is in the log only."""
    if isinstance(error, MammoError):
        reason = error.code
        metrics.predictions.labels(outcome="unreadable").inc()
        log.warning("no prediction for a task", task=task.id, project=task.project, code=reason)
    else:
        reason = "failed"
        metrics.predictions.labels(outcome="failed").inc()
        log.error(
            "a prediction failed",
            task=task.id,
            project=task.project,
            error=type(error).__name__,
            where=where(error),
        )
    return {"result": [], "score": NOTHING_SCORE, "model_version": loaded.version, "reason": reason}
