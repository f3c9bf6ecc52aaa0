"""JobProgress: what a running job tells those who watch it, in its `meta`, a few times a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis
import structlog

SAVE_SECONDS = 0.5

log = structlog.get_logger()


class JobProgress:
    """Keeps `stage`, `progress` in [0, 1] and `message` of one RQ job."""

    def __init__(self, job: Any, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
        job: anything with `meta` and `save_meta()`; None tells nobody.
        """
        self._job = job
        self._clock = clock
        self._saved_at = -SAVE_SECONDS
        self._stage = ""
        self.failed = False
        """Whether a reason was left."""

    def __call__(self, stage: str, progress: float, message: str) -> None:
        if stage != self._stage:
            log.info("stage", stage=stage)
        elif self._clock() - self._saved_at < SAVE_SECONDS and progress < 1.0:
            return
        self._stage = stage
        self._save(stage=stage, progress=round(progress, 4), message=message)

    def fail(self, reason: str) -> None:
        """Leave the sentence that says why the job failed."""
        self.failed = True
        self._save(error=reason)

    def _save(self, **fields: Any) -> None:
        if self._job is None:
            return
        self._job.meta.update(fields)
        try:
            self._job.save_meta()
        except redis.RedisError:
            # Hours of training are not given up because nobody could be told how far they are.
            log.warning("progress_not_saved")
        self._saved_at = self._clock()
