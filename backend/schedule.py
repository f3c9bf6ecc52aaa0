"""Schedule: a thread that starts scheduled retrains, requeues runs that no process works on, and keeps disk in reserve.

Every backend has one, and they need no leader: a scheduled time starts one run however many backends notice it, and a
job that is in the queue is not enqueued again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from croniter import CroniterError

from backend.cron_times import newest_due
from backend.retrain_triggers import RetrainTriggers
from mammo.errors import MammoError

EVERY = 15.0
"""Seconds between two rounds, which is also how long a lost run waits at most."""

GRACE = timedelta(hours=1)
"""A scheduled time that is older than this, because no backend ran, is skipped."""

log = structlog.get_logger()


class Schedule:
    """Starts what is due, round by round."""

    def __init__(
        self,
        triggers: RetrainTriggers,
        *,
        times: Mapping[int, str],
        zone: ZoneInfo,
        reserve_space: Callable[[], None] = lambda: None,
        every: float = EVERY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            times: cron expressions by project.
            zone: time zone of the expressions.
            reserve_space: sets disk space aside, if there is room; see `mammo.disk_reserve`.
            every: seconds between two rounds.
        """
        self._triggers = triggers
        self._times = times
        self._zone = zone
        self._reserve_space = reserve_space
        self._every = every
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="schedule", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current round."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def round(self) -> None:
        """Start the retrains that are due, and requeue lost runs."""
        self._reserve_space()
        now = self._clock()
        for project, expression in self._times.items():
            try:
                due = newest_due(expression, zone=self._zone, now=now, within=GRACE)
            except CroniterError:  # such as 31 February; the other projects must not wait for it
                log.warning("the schedule's cron expression names no existing day", project=project)
                continue
            if due is not None:
                self._triggers.start_by_schedule(project, due)
        self._triggers.requeue_lost()

    def _work(self) -> None:
        while True:
            try:
                self.round()
            except MammoError as error:
                log.warning("a round of the schedule failed", code=error.code)
            except Exception as error:  # one unexpected row must not end the schedule
                log.exception("a round of the schedule failed", error=type(error).__name__)
            if self._stopped.wait(self._every):
                return
