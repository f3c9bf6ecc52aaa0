"""Schedule: a thread that starts the retrains of the clock, and sends runs that nobody works on to the queue again.

Every backend has one. They need no leader: an hour of the schedule asks for one run however many notice it, and a job
that the queue has is not sent twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from croniter import CroniterError

from backend.cron_times import newest_due
from backend.training import Training
from mammo.errors import MammoError

EVERY = 15.0
"""Seconds between two rounds: a run that a lost process leaves behind waits for one of them at most."""

GRACE = timedelta(hours=1)
"""An hour of the schedule that nobody noticed for so long, because no backend ran, is passed over."""

log = structlog.get_logger()


class Schedule:
    """Asks `Training` for what is due."""

    def __init__(
        self,
        training: Training,
        *,
        times: Mapping[int, str],
        zone: ZoneInfo,
        every: float = EVERY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            times: cron expressions by project.
            zone: of the expressions.
            every: seconds between two rounds.
        """
        self._training = training
        self._times = times
        self._zone = zone
        self._every = every
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="schedule", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the round."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def round(self) -> None:
        """Look once at the clock, and at the runs."""
        now = self._clock()
        for project, expression in self._times.items():
            try:
                due = newest_due(expression, zone=self._zone, now=now, within=GRACE)
            except CroniterError:  # 31 February must not keep the others from their hours
                log.warning("the schedule names no day that ever comes", project=project)
                continue
            if due is not None:
                self._training.by_the_clock(project, due)
        self._training.send_again()

    def _work(self) -> None:
        while True:
            try:
                self.round()
            except MammoError as error:
                log.warning("the schedule could not be looked at", code=error.code)
            except Exception as error:  # an odd row must not end the schedule
                log.exception("the schedule could not be looked at", error=type(error).__name__)
            if self._stopped.wait(self._every):
                return
