"""Predictions for tasks that could not be predicted: counted, logged, and marked with an error code.

Label Studio stores only result, score and version of a prediction. The code is therefore also in the result, if the
labeling config has a control for it.
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

NO_PREDICTION_SCORE = 0.0
"""Score of a task without a prediction, so that it is read first."""

UNFINISHED = "+unfinished"
"""Suffix of the model version if a task should be asked for again.

Label Studio asks for a task until it has a prediction of the version named by `/setup`. Under that version, an empty
prediction for lack of time would mean "nothing found" forever.
"""

TEMPORARY = (ImageUnavailable, LabelStudioError, StorageUnavailable)
"""Errors that may be over at the next call."""

log = structlog.get_logger()

Prediction = dict[str, Any]


def failed(
    error: Exception, *, task: Task, loaded: Loaded, metrics: Metrics, tags: ControlTags | None
) -> Prediction:
    """Return a prediction without findings, with the error's code. Details are in the log only.

    Args:
        tags: control tags of the project, to show the code to annotators; None for a click.
    """
    if isinstance(error, MammoError):
        reason = error.code
        metrics.predictions.labels(outcome="unreadable").inc()
        # Says which server, how slow and until when; other messages may quote a path.
        detail = {"detail": str(error)} if isinstance(error, ImageUnavailable) else {}
        log.warning("no prediction for a task", task=task.id, project=task.project, code=reason, **detail)
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
    version = loaded.version + (UNFINISHED if isinstance(error, TEMPORARY) else "")
    return _empty(reason, version=version, metrics=metrics, tags=tags)


def out_of_time(*, loaded: Loaded, metrics: Metrics, tags: ControlTags) -> Prediction:
    """Return a prediction without findings, for a task that a batch had no time for."""
    metrics.predictions.labels(outcome="unfinished").inc()
    return _empty("out_of_time", version=loaded.version + UNFINISHED, metrics=metrics, tags=tags)


def _empty(reason: str, *, version: str, metrics: Metrics, tags: ControlTags | None) -> Prediction:
    metrics.missing.labels(reason=reason).inc()
    result = note_regions(reason, tags=tags, model_version=version) if tags else []
    return {"result": result, "score": NO_PREDICTION_SCORE, "model_version": version, "reason": reason}
