"""RunService: where people, Label Studio's button and the clock ask for runs, stop them and send them on.

The row comes first, then the job that tells a worker of it: a queue that is away, or that loses the job, costs time and
never the run. `send_again` finds runs of which no worker knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.engine import Engine

from mammo.errors import MammoError
from mammo.runs.claims import lost_owner, owner_is_alive
from mammo.runs.jobs import Enqueued, JobQueue, Retrain
from mammo.runs.quiet_hours import QuietHours
from mammo.runs.records import Run, Runs
from mammo.runs.states import Trigger
from mammo.runs.trainable import require_trainable, why_never_trained_from
from mammo.settings import Settings

AUTOMATIC: frozenset[Trigger] = frozenset({"corrections", "schedule"})
"""Triggers that nobody waits for: they keep to the quiet hours."""

UNTOLD = timedelta(seconds=30)
"""So old is a run that waits before it is sent to the queue again: whoever asked for it is doing so at first."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Started:
    """The answer to whoever asked for a run."""

    run: str
    created: bool
    """False: the project's active run stands for this trigger too."""

    not_before: datetime | None = None
    """Quiet hours: it starts then."""

    problem: str | None = None
    """Why no worker could be told yet; it is told later."""


class RunService:
    """Safe to share between threads and processes."""

    def __init__(self, runs: Runs, queue: JobQueue, *, quiet: QuietHours | None = None) -> None:
        self.runs = runs
        self._queue = queue
        self._quiet = quiet

    @classmethod
    def of(cls, settings: Settings, engine: Engine, queue: JobQueue) -> Self:
        """As the settings have it."""
        zone = ZoneInfo(settings.time_zone)
        quiet = QuietHours.read(settings.quiet_hours, zone=zone) if settings.quiet_hours else None
        return cls(Runs(engine), queue, quiet=quiet)

    def start(
        self, project: int, *, recipe: str, reason: str, trigger: Trigger, key: str | None = None
    ) -> Started:
        """Ask for a run. One that is active stands for this trigger too, and is recorded so.

        What people ask for starts at once; what comes by itself waits until the quiet hours are over.

        Args:
            key: names the occasion, so that the same one asks once however many notice it.

        Raises:
            NeverTrainedFrom: no model may learn from the project.
            StorageUnavailable: the database is away, and nothing was asked for.
        """
        require_trainable(project, engine=self.runs.engine)
        until = self._quiet.over_at(datetime.now(UTC)) if self._quiet and trigger in AUTOMATIC else None
        asked = self.runs.ask(
            project, recipe=recipe, reason=reason, trigger=trigger, not_before=until, key=key
        )
        found = self.runs.get(asked.run)
        return Started(asked.run, asked.created, found.not_before, self._told(found))

    def may_learn_from(self, project: int) -> bool:
        """Whether `start` would take the project."""
        return why_never_trained_from(project, engine=self.runs.engine) is None

    def cancel(self, name: str, *, reason: str) -> Run:
        """End a run now; one that a worker has in hand notices within seconds, and can be resumed.

        Raises:
            UnknownRun: there is none.
            RunConflict: it has ended.
        """
        ended = self.runs.cancel(name, reason=reason)
        try:
            self._queue.drop(ended.id)
        except MammoError as error:  # a worker that takes the job up sees that the run has ended
            log.warning("the job of a cancelled run stays in the queue", run=ended.id, code=error.code)
        return ended

    def resume(self, name: str, *, reason: str) -> Started:
        """Send a failed or cancelled run on, at its first stage that is not done.

        Raises:
            UnknownRun: there is none.
            RunConflict: it is neither, or its project has another active run.
            NeverTrainedFrom: no model may learn from its project.
        """
        require_trainable(self.runs.get(name).project, engine=self.runs.engine)
        again = self.runs.resume(name, reason=reason)
        return Started(again.id, created=False, problem=self._told(again))

    def send_again(
        self,
        *,
        alive: Callable[[str], bool | None] = owner_is_alive,
        untold: timedelta = UNTOLD,
        now: datetime | None = None,
    ) -> list[str]:
        """Tell a worker of every active run that nobody works on: its time has come, or its job or process was lost.

        A job that the queue still has is left alone, so this is safe to repeat, by several processes too.

        Returns:
            The runs that were sent.
        """
        moment = now or datetime.now(UTC)
        sent = []
        for each in self.runs.newest(active=True, limit=1000):
            waits = each.owner is None and moment - each.created_at >= untold
            if not waits and not lost_owner(each, alive=alive, now=moment):
                continue
            told = self._tell(each, now=moment)
            if told is not None and told.created:
                log.warning("a run that nobody worked on was sent to the queue again", run=each.id)
                sent.append(each.id)
        return sent

    def _told(self, found: Run) -> str | None:
        try:
            self._tell(found, now=datetime.now(UTC))
        except MammoError as error:
            log.warning("no worker could be told of a run", run=found.id, code=error.code)
            return str(error)
        return None

    def _tell(self, found: Run, *, now: datetime) -> Enqueued | None:
        """Put the run's job into the queue, if there is none; None before its time."""
        if not found.active or (found.not_before and found.not_before > now):
            return None
        order = Retrain(project=found.project, recipe=found.recipe, reason=found.reason)
        told = self._queue.enqueue_retrain(order, run=found.id)
        if told.created:
            self.runs.told(found.id, told.job_id)
        return told
