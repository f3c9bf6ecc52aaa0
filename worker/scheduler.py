"""OneScheduler: RQ's scheduler, which enqueues scheduled jobs when they are due; one for all queues and hosts.

RQ locks each queue separately, so that two schedulers that start together can share the queues. OneScheduler takes one
lock for all of them. The lock of a killed holder expires after a minute; workers try for it every half minute.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from rq.scheduler import RQScheduler

from mammo.leash import die_with
from mammo.runs.jobs import QUEUES, SCHEDULER_LOCK, lists_of


class OneScheduler(RQScheduler):  # type: ignore[misc]
    """Runs beside one worker, in its own process, and watches the queues of all workers."""

    def __init__(self, connection: Any, **options: Any) -> None:
        super().__init__(lists_of(QUEUES), connection, **options)
        self._worker = os.getpid()

    @classmethod
    def get_locking_key(cls, name: str) -> str:
        """Return the lock's key, the same for every queue."""
        return f"{SCHEDULER_LOCK}yolo-mlsam"

    def work(self) -> None:
        """Work until the worker stops or dies: the scheduler of a killed worker would keep the lock."""
        die_with(self._worker)
        try:
            super().work()
        except redis.ConnectionError as error:  # after every retry of the connection
            self.log.warning(
                "scheduled jobs wait while Redis is away (%s); a worker restarts the scheduler afterwards",
                type(error).__name__,
            )
