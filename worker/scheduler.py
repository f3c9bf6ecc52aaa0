"""OneScheduler: RQ's scheduler, which puts planned jobs into their queue when it is time; one for all queues and hosts.

RQ locks each queue by itself, so that two that start at once can share the queues. Ours takes one lock for all of them.
A lock whose holder was killed ends after a minute, and the next worker that looks, every half minute, takes it.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from rq.scheduler import RQScheduler

from mammo.leash import die_with
from mammo.runs.jobs import QUEUES, SCHEDULER_LOCK, lists_of


class OneScheduler(RQScheduler):  # type: ignore[misc]
    """Runs beside one worker, in a process of its own, and watches the queues of all workers."""

    def __init__(self, connection: Any, **options: Any) -> None:
        super().__init__(lists_of(QUEUES), connection, **options)
        self._worker = os.getpid()

    @classmethod
    def get_locking_key(cls, name: str) -> str:
        """The lock of a queue: the same for all."""
        return f"{SCHEDULER_LOCK}yolo-mlsam"

    def work(self) -> None:
        """Until the worker stops it, or is no more: a killed worker's scheduler would keep the lock."""
        die_with(self._worker)
        try:
            super().work()
        except redis.ConnectionError as error:  # after all the patience of its connection
            self.log.warning(
                "the schedule is not kept while Redis is away (%s); a worker takes it up again afterwards",
                type(error).__name__,
            )
