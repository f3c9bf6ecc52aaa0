"""A task without a prediction: counted, logged, and answered with the code of what went wrong.

Label Studio keeps result, score and version of a prediction and nothing else, so the code is in the result too, where
the labeling config has a place for it.
"""

from __future__ import annotations

from typing import Any

import structlog

from backend.logs import where
from backend.metrics import Metrics
from backend.model_host import Loaded
from backend.schemas import Task
from mammo.errors import ImageUnavailable, LabelStudioError, MammoError, StorageUnavailable
from mammo.labelstudio import ControlTags
from mammo.labelstudio.rendering import note_regions

NOTHING_SCORE = 0.0
"""Score of a task without a prediction: it is the first that a person should look at."""

UNFINISHED = "+unfinished"
"""Behind the model version of a task that is worth asking again for.

Label Studio asks for a task until it has a prediction of the version that `/setup` names; with that very string an
answer given for lack of time would stand as "nothing found" for ever.
"""

PASSING = (ImageUnavailable, LabelStudioError, StorageUnavailable)
"""What may be over at the next call."""

log = structlog.get_logger()

Prediction = dict[str, Any]


def nothing(
    error: Exception, *, task: Task, loaded: Loaded, metrics: Metrics, tags: ControlTags | None
) -> Prediction:
    """A prediction without findings, with the code of what went wrong; the whole story is in the log only.

    Args:
        tags: of the project, whose annotators shall read the code; None: it is a click, whose answer they see at once.
    """
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
    version = loaded.version + (UNFINISHED if isinstance(error, PASSING) else "")
    return _empty(reason, version=version, metrics=metrics, tags=tags)


def out_of_time(*, loaded: Loaded, metrics: Metrics, tags: ControlTags) -> Prediction:
    """A prediction without findings for a task that a batch had no time for."""
    metrics.predictions.labels(outcome="unfinished").inc()
    return _empty("out_of_time", version=loaded.version + UNFINISHED, metrics=metrics, tags=tags)


def _empty(reason: str, *, version: str, metrics: Metrics, tags: ControlTags | None) -> Prediction:
    metrics.missing.labels(reason=reason).inc()
    result = note_regions(reason, tags=tags, model_version=version) if tags else []
    return {"result": result, "score": NOTHING_SCORE, "model_version": version, "reason": reason}
