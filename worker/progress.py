"""JobProgress: stage, progress and message of a running job, saved in its `meta` at most twice a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis
import structlog

SAVE_SECONDS = 0.5

log = structlog.get_logger()


class JobProgress:
    """Saves `stage`, `progress` in [0, 1] and `message` of one RQ job."""

    def __init__(self, job: Any, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
        job: anything with `meta` and `save_meta()`; None: nothing is saved.
        """
        self._job = job
        self._clock = clock
        self._saved_at = -SAVE_SECONDS
        self._stage = ""
        self.failed = False
        """Whether `fail` has recorded a reason."""

    def __call__(self, stage: str, progress: float, message: str) -> None:
        if stage != self._stage:
            log.info("stage", stage=stage)
        elif self._clock() - self._saved_at < SAVE_SECONDS and progress < 1.0:
            return
        self._stage = stage
        self._save(stage=stage, progress=round(progress, 4), message=message)

    def fail(self, reason: str) -> None:
        """Record why the job failed, as a sentence for people."""
        self.failed = True
        self._save(error=reason)

    def _save(self, **fields: Any) -> None:
        if self._job is None:
            return
        self._job.meta.update(fields)
        try:
            self._job.save_meta()
        except redis.RedisError:
            # Losing a progress report must not end hours of training.
            log.warning("progress_not_saved")
        self._saved_at = self._clock()
