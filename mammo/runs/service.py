"""RunService: request, cancel and resume runs, for people, Label Studio's button and the schedule.

The row is written first, then a job is enqueued that makes a worker look at it. If the queue cannot be reached, or
loses the job, the run is only delayed: `requeue_lost` finds runs that no worker knows of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.engine import Engine

from mammo.audit import append
from mammo.database import writing
from mammo.errors import MammoError, RunConflict
from mammo.runs.claims import owner_is_alive, owner_is_lost
from mammo.runs.payloads import Adapt, Retrain
from mammo.runs.quiet_hours import QuietHours
from mammo.runs.records import ADAPTATION, ORDER, Runs
from mammo.runs.run import Run
from mammo.runs.states import Trigger
from mammo.runs.trainable import require_trainable, why_not_trainable
from mammo.settings import Settings

if TYPE_CHECKING:  # brings RQ and Redis in
    from mammo.runs.jobs import Enqueued, JobQueue

AUTOMATIC: frozenset[Trigger] = frozenset({"corrections", "schedule"})
"""Triggers that no person waits for: their runs do not start in quiet hours."""

REQUEUE_AFTER = timedelta(seconds=30)
"""Age from which a waiting run is enqueued again; before that, the request itself may still be enqueueing it."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Started:
    """Result of starting or resuming a run."""

    run: str
    created: bool
    """Whether a run was created; if not, `run` is the project's active run, which covers this request."""

    not_before: datetime | None = None
    """Earliest start, because of quiet hours."""

    problem: str | None = None
    """Why it is not certain that the job is in the queue; if it is not, it is enqueued later."""


class RunService:
    """Starts, cancels and resumes runs. Safe to use from several threads and processes."""

    def __init__(self, runs: Runs, queue: JobQueue, *, quiet: QuietHours | None = None) -> None:
        self.runs = runs
        self._queue = queue
        self._quiet = quiet

    @classmethod
    def of(cls, settings: Settings, engine: Engine, queue: JobQueue) -> Self:
        """Build the service from the settings."""
        zone = ZoneInfo(settings.time_zone)
        quiet = QuietHours.read(settings.quiet_hours, zone=zone) if settings.quiet_hours else None
        return cls(Runs(engine), queue, quiet=quiet)

    def start(
        self,
        project: int,
        *,
        recipe: str,
        reason: str,
        trigger: Trigger,
        key: str | None = None,
        actor: str = "",
    ) -> Started:
        """Request a run, unless the project's active run covers the request.

        A person's request starts at once; an automatic one waits for the end of the quiet hours.

        Args:
            key: Idempotency key: requests with the same key count once, whichever processes make them.
            actor: Who asks, for the audit trail; empty: the trigger.

        Raises:
            NeverTrainedFrom: The project must not be trained on.
            StorageUnavailable: The database cannot be reached; no run was requested.
        """
        require_trainable(project, engine=self.runs.engine)
        not_before = (
            self._quiet.end_after(datetime.now(UTC)) if self._quiet and trigger in AUTOMATIC else None
        )
        request = self.runs.request(
            project, recipe=recipe, reason=reason, trigger=trigger, not_before=not_before, key=key
        )
        run = self.runs.get(request.run)
        if request.created:
            with writing(self.runs.engine) as connection:
                append(
                    connection, actor=actor or trigger, action="run started", subject=run.id, reason=reason
                )
        return Started(run.id, request.created, run.not_before, self._enqueue_problem(run))

    def start_adaptation(self, order: Adapt, *, enqueue: bool) -> Started:
        """Request an adaptation, unless the active one is the same.

        Args:
            enqueue: Whether to enqueue its job; otherwise this process claims the run.

        Raises:
            NeverTrainedFrom: The project must not be trained on.
            RunConflict: Another adaptation is active.
            StorageUnavailable: The database cannot be reached; no run was requested.
        """
        require_trainable(order.project, engine=self.runs.engine)
        active = self.runs.active(ADAPTATION)
        if active is not None:
            self._require_same(active, order)
        request = self.runs.request(
            order.project,
            recipe=order.recipe,
            reason=order.reason,
            trigger="adapt",
            order={"backgrounds": order.backgrounds},
        )
        run = self.runs.get(request.run)
        self._require_same(run, order)  # it may have been requested between the two
        return Started(run.id, request.created, problem=self._enqueue_problem(run) if enqueue else None)

    def adaptation(self, run: Run) -> Adapt:
        """Return what an adaptation was requested to do."""
        order = self.runs.result(run.id, ORDER)
        return Adapt(run.project, run.recipe, run.reason, order["backgrounds"])

    def is_trainable(self, project: int) -> bool:
        """Return whether the project may be trained on."""
        return why_not_trainable(project, engine=self.runs.engine) is None

    def cancel(self, name: str, *, reason: str, actor: str = "") -> Run:
        """Cancel a run at once; its worker stops within seconds, and the run can be resumed.

        Raises:
            UnknownRun: There is no such run.
            RunConflict: The run has ended.
        """
        cancelled = self.runs.cancel(name, reason=reason, actor=actor)
        try:
            self._queue.drop(cancelled.id)
        except MammoError as error:  # a worker that starts the job finds the run cancelled
            log.warning("job of a cancelled run remains in the queue", run=cancelled.id, code=error.code)
        return cancelled

    def resume(self, name: str, *, reason: str, actor: str = "") -> Started:
        """Resume a failed or cancelled run at its first stage that is not done.

        Raises:
            UnknownRun: There is no such run.
            RunConflict: The run is neither failed nor cancelled, or its project has another active run.
            NeverTrainedFrom: Its project must not be trained on.
        """
        require_trainable(self.runs.get(name).project, engine=self.runs.engine)
        run = self.runs.resume(name, reason=reason, actor=actor)
        return Started(run.id, created=False, problem=self._enqueue_problem(run))

    def requeue_lost(
        self,
        *,
        is_alive: Callable[[str], bool | None] = owner_is_alive,
        after: timedelta = REQUEUE_AFTER,
        now: datetime | None = None,
    ) -> list[str]:
        """Enqueue every active run that no process works on: it is due, or its job or process was lost.

        A job that is still in the queue is left alone, so several processes may call this repeatedly.

        Args:
            after: Age from which a waiting run is enqueued again.

        Returns:
            Ids of the runs that were enqueued.
        """
        now = now or datetime.now(UTC)
        enqueued = []
        for run in self.runs.newest(active=True, limit=1000):
            is_waiting = run.owner is None and now - run.created_at >= after
            if not is_waiting and not owner_is_lost(run, is_alive=is_alive, now=now):
                continue
            job = self._enqueue(run, now=now)
            if job is not None and job.created:
                log.warning("run without a worker enqueued again", run=run.id)
                enqueued.append(run.id)
        return enqueued

    def _enqueue_problem(self, run: Run) -> str | None:
        """Enqueue a run; return why it could not be enqueued, or None."""
        try:
            self._enqueue(run, now=datetime.now(UTC))
        except MammoError as error:
            log.warning("run could not be enqueued", run=run.id, code=error.code)
            return str(error)
        return None

    def _enqueue(self, run: Run, *, now: datetime) -> Enqueued | None:
        """Enqueue the run's job, unless there is one; None if the run has ended or is not due yet."""
        if not run.active or (run.not_before and run.not_before > now):
            return None
        if run.trigger == "adapt":
            job = self._queue.enqueue_adapt(self.adaptation(run), run=run.id)
        else:
            payload = Retrain(project=run.project, recipe=run.recipe, reason=run.reason)
            job = self._queue.enqueue_retrain(payload, run=run.id)
        if job.created:
            self.runs.record_job(run.id, job.job_id)
        return job

    def _require_same(self, run: Run, order: Adapt) -> None:
        active = self.adaptation(run)
        if replace(active, reason=order.reason) != order:
            raise RunConflict(
                f"another adaptation, {run.id}, is active ({', '.join(active.backgrounds)}, recipe {run.recipe}); wait "
                "until it has ended, or end it with `yolo-mlsam runs cancel`"
            )
