"""Training: who may start a retrain by itself, and when; what people ask for goes straight through."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import structlog

from backend.metrics import Metrics
from mammo.annotations import AnnotationStore
from mammo.errors import MammoError
from mammo.runs import RunService, Started, Trigger
from mammo.settings import Settings

log = structlog.get_logger()


class Training:
    """Asks the desk for runs, and counts what came of it."""

    def __init__(
        self,
        desk: RunService,
        corrections: AnnotationStore,
        *,
        recipe: str,
        after: int,
        least_patients: int,
        metrics: Metrics,
    ) -> None:
        """
        Args:
            recipe: of runs for which nobody named another.
            after: new corrections that start a run by themselves; 0: never.
            least_patients: fewest patients among them.
        """
        self.desk = desk
        self._corrections = corrections
        self._recipe = recipe
        self._after = after
        self._least_patients = least_patients
        self._metrics = metrics

    @classmethod
    def of(
        cls,
        settings: Settings,
        desk: RunService,
        corrections: AnnotationStore,
        *,
        metrics: Metrics,
    ) -> Self:
        """As the settings have it."""
        return cls(
            desk,
            corrections,
            recipe=settings.recipe,
            after=settings.train_after,
            least_patients=settings.train_least_patients,
            metrics=metrics,
        )

    def ask(
        self,
        project: int,
        *,
        reason: str,
        trigger: Trigger,
        recipe: str | None = None,
        key: str | None = None,
    ) -> Started:
        """Start a run, or let the active one stand for this too.

        Raises:
            NeverTrainedFrom: no model may learn from the project.
            StorageUnavailable: the database is away.
        """
        try:
            started = self.desk.start(
                project, recipe=recipe or self._recipe, reason=reason, trigger=trigger, key=key
            )
        except MammoError:
            self._metrics.trainings.labels(outcome="refused").inc()
            raise
        self._metrics.trainings.labels(outcome="queued" if started.created else "active").inc()
        log.info("run asked for", project=project, run=started.run, created=started.created, trigger=trigger)
        return started

    def by_corrections(self, project: int) -> Started | None:
        """Start a run when enough corrections have come since the last dataset version."""
        if not self._after or not self.desk.is_trainable(project):
            return None
        fresh = self._corrections.corrections_since(project)
        if fresh < self._after or not self._enough_patients(project):
            return None
        return self.ask(project, reason=f"{fresh} new corrections", trigger="corrections")

    def by_the_clock(self, project: int, due: datetime) -> Started | None:
        """Start the run of an hour of the schedule, once; without anything new to learn from there is none."""
        if not self.desk.is_trainable(project):
            return None
        fresh = self._corrections.corrections_since(project)
        if not fresh or not self._enough_patients(project):
            return None
        return self.ask(
            project,
            reason=f"{fresh} new corrections at {due:%Y-%m-%d %H:%M %Z}",
            trigger="schedule",
            key=f"schedule {project} {due.isoformat()}",
        )

    def send_again(self) -> list[str]:
        """See `RunService.requeue_lost`."""
        return self.desk.requeue_lost()

    def _enough_patients(self, project: int) -> bool:
        least = self._least_patients
        return not least or self._corrections.patients_since(project) >= least
