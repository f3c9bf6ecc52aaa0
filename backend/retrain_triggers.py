"""RetrainTriggers: start retrains on request, after enough new corrections, and by schedule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

import structlog

from backend.metrics import Metrics
from mammo.annotations import AnnotationStore
from mammo.errors import MammoError
from mammo.runs import RunService, Started, Trigger
from mammo.settings import Settings
from mammo.training_settings import MIN_CORRECTED_PATIENTS

EVER = datetime.min.replace(tzinfo=UTC)

HELD_OUT = 4
"""One patient in so many is held out for the gate."""

log = structlog.get_logger()


class RetrainTriggers:
    """Starts runs, and counts the outcomes."""

    def __init__(
        self,
        runs: RunService,
        corrections: AnnotationStore,
        *,
        recipe: str,
        after: int,
        min_patients: int,
        provisional_after: int,
        gate_patients: int,
        metrics: Metrics,
    ) -> None:
        """
        Args:
            recipe: of runs whose request names none.
            after: number of new corrections that starts a run; 0: none does.
            min_patients: number of patients that the new corrections must have.
            provisional_after: number of new corrections that starts a run for a provisional model; 0: none does.
            gate_patients: held-out patients that the gate needs.
        """
        self._runs = runs
        self._corrections = corrections
        self._recipe = recipe
        self._after = after
        self._min_patients = min_patients
        self._provisional_after = provisional_after
        self._gate_patients = gate_patients
        self._metrics = metrics

    @classmethod
    def of(
        cls, settings: Settings, runs: RunService, corrections: AnnotationStore, *, metrics: Metrics
    ) -> Self:
        """Return the triggers that the settings describe."""
        return cls(
            runs,
            corrections,
            recipe=settings.recipe,
            after=settings.train_after,
            min_patients=settings.train_least_patients,
            provisional_after=settings.provisional_after,
            gate_patients=settings.min_test_patients(settings.recipe),
            metrics=metrics,
        )

    @property
    def counts_corrections(self) -> bool:
        """Whether a number of corrections starts anything by itself."""
        return bool(self._after or self._provisional_after)

    def start(
        self,
        project: int,
        *,
        reason: str,
        trigger: Trigger,
        recipe: str | None = None,
        key: str | None = None,
        actor: str = "",
    ) -> Started:
        """Start a run, unless the project has an active one, which then serves this request too.

        Args:
            key: a second call with the same key starts nothing.
            actor: who asks, for the audit trail; empty: the trigger.

        Raises:
            NeverTrainedFrom: no model may learn from the project.
            StorageUnavailable: the database does not answer.
        """
        try:
            started = self._runs.start(
                project,
                recipe=recipe or self._recipe,
                reason=reason,
                trigger=trigger,
                key=key,
                actor=actor,
            )
        except MammoError:
            self._metrics.trainings.labels(outcome="refused").inc()
            raise
        self._metrics.trainings.labels(outcome="queued" if started.created else "active").inc()
        log.info("run requested", project=project, run=started.run, created=started.created, trigger=trigger)
        return started

    def start_by_corrections(self, project: int) -> Started | None:
        """Start a run if there are enough corrections since the last dataset version."""
        if not self._after or not self._runs.is_trainable(project):
            return None
        count = self._corrections.corrections_since(project)
        if count < self._after or not self._has_enough_patients(project):
            return None
        return self.start(project, reason=f"{count} new corrections", trigger="corrections")

    def start_provisional(self, project: int) -> Started | None:
        """Start a run for a provisional model: there are enough corrections for one, but too few patients for the gate.

        About one patient in four is held out, so the gate needs about four times its held-out patients.
        """
        if not self._provisional_after or not self._runs.is_trainable(project):
            return None
        count = self._corrections.corrections_since(project)
        if count < self._provisional_after:
            return None
        patients = self._corrections.patients_since(project)
        if patients < MIN_CORRECTED_PATIENTS:
            return None
        if self._corrections.patients_since(project, EVER) >= HELD_OUT * self._gate_patients:
            return None
        return self.start(
            project,
            recipe="provisional",
            reason=f"{count} new corrections of {patients} patients",
            trigger="corrections",
        )

    def start_by_schedule(self, project: int, due: datetime) -> Started | None:
        """Start the run of a scheduled time, at most once, if there are new corrections to learn from."""
        if not self._runs.is_trainable(project):
            return None
        count = self._corrections.corrections_since(project)
        if not count or not self._has_enough_patients(project):
            return None
        return self.start(
            project,
            reason=f"{count} new corrections at {due:%Y-%m-%d %H:%M %Z}",
            trigger="schedule",
            key=f"schedule {project} {due.isoformat()}",
        )

    def requeue_lost(self) -> list[str]:
        """Requeue runs whose process or job was lost; see `RunService.requeue_lost`."""
        return self._runs.requeue_lost()

    def _has_enough_patients(self, project: int) -> bool:
        return not self._min_patients or self._corrections.patients_since(project) >= self._min_patients
