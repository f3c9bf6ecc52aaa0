"""ProjectOverviews: per project which model serves since when, what waits, what was decided last, and what runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from backend.refreshed import Figure, Refreshed
from mammo.efforts.effort_records import grouped
from mammo.models import Promotion, Provisional
from mammo.runs import Run
from mammo.site import Site

VERDICTS = {
    "promoted": "The challenger was promoted",
    "kept": "The champion was kept",
    "provisional": "A provisional model serves",
}
"""What became of a judged run, by its state."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """New corrections of a project: those that its newest dataset version does not hold."""

    corrections: int
    patients: int


@dataclass(frozen=True, kw_only=True)
class WeekOfEffort:
    """Edit effort of the corrections of one week."""

    week: date
    images: int
    accept_rate: float | None
    dice: float | None
    lead_time: float | None
    """Median, in seconds."""


@dataclass(frozen=True, kw_only=True)
class ProjectOverview:
    """What the first page says of a project."""

    project: int
    serving: str | None
    serving_since: datetime | None
    is_pinned: bool
    provisional: Provisional | None
    """The provisional model that serves the project; None if another model does."""

    waiting: Figure[Waiting]
    readiness: str
    last_run: Run | None
    """The last retrain that ended."""

    last_verdict: str
    """In one sentence; empty without one."""

    active_run: Run | None

    def to_json(self) -> dict[str, Any]:
        """Return the overview as a JSON object, with times as ISO text."""
        waiting = self.waiting.value
        return {
            "project": self.project,
            "serving": self.serving,
            "serving_since": self.serving_since.isoformat() if self.serving_since else None,
            "pinned": self.is_pinned,
            "provisional": self.provisional is not None,
            "corrections_waiting": waiting.corrections if waiting else None,
            "patients_waiting": waiting.patients if waiting else None,
            "counted_at": self.waiting.at.isoformat() if self.waiting.at else None,
            "readiness": self.readiness,
            "last_verdict": self.last_verdict or None,
            "last_run": self.last_run.id if self.last_run else None,
            "active_run": self.active_run.to_json() if self.active_run else None,
        }


class ProjectOverviews:
    """Reads the overviews of a site. Counting corrections takes long, so it is done in the background."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._waiting: Refreshed[int, Waiting] = Refreshed(self._count)
        self._efforts: Refreshed[int, list[WeekOfEffort]] = Refreshed(self._measure)

    def all(self) -> list[ProjectOverview]:
        """Return the overview of every project, by number."""
        newest = self._site.runs.runs.newest(limit=500)
        projects = {*self._site.store.projects(), *(run.project for run in newest)} - {0}
        history = self._site.registry.history()
        provisional = self._site.provisional.all()
        return [self._overview(project, newest, history, provisional) for project in sorted(projects)]

    def effort(self, project: int) -> Figure[list[WeekOfEffort]]:
        """Return the edit effort of a project by week, oldest first."""
        return self._efforts.get(project)

    def close(self) -> None:
        """Start no computation any more."""
        self._waiting.close()
        self._efforts.close()

    def _overview(
        self,
        project: int,
        newest: Sequence[Run],
        history: Sequence[Promotion],
        provisional: Mapping[int, Provisional],
    ) -> ProjectOverview:
        pinned = self._site.settings.pinned_models.get(project)
        own = None if pinned else provisional.get(project)
        own_version = own.version if own else None
        runs = [run for run in newest if run.project == project and run.trigger != "adapt"]
        ended = next((run for run in runs if not run.active), None)
        active = next((run for run in runs if run.active), None)
        waiting = self._waiting.get(project)
        return ProjectOverview(
            project=project,
            serving=pinned or own_version or (history[-1].version if history else None),
            serving_since=own.since if own else history[-1].at if history and not pinned else None,
            is_pinned=pinned is not None,
            provisional=own,
            waiting=waiting,
            readiness=self._readiness(waiting, active),
            last_run=ended,
            last_verdict=self._verdict(ended) if ended else "",
            active_run=active,
        )

    def _readiness(self, waiting: Figure[Waiting], active: Run | None) -> str:
        """Say whether a retrain could start, and what it still needs, as far as the settings require it."""
        if active is not None:
            return "A run is active; it uses the corrections that were there when it began."
        if waiting.value is None:
            return waiting.problem or "The new corrections are being counted; reload in a moment."
        if not waiting.value.corrections:
            return "Nothing new to learn from: every correction is in the newest dataset version."
        settings = self._site.settings
        corrections = settings.train_after - waiting.value.corrections
        patients = settings.train_least_patients - waiting.value.patients
        lacking = [f"{corrections} more corrections"] if corrections > 0 else []
        lacking += [f"{patients} more patients"] if patients > 0 else []
        if lacking:
            return f"{' and '.join(lacking)} until a retrain starts by itself; it can be started by hand."
        return "There is enough for a retrain."

    def _verdict(self, run: Run) -> str:
        if run.state in ("failed", "cancelled"):
            return f"The last run {'failed' if run.state == 'failed' else 'was cancelled'}. {run.error or ''}".strip()
        outcome = self._site.runs.runs.results(run.id).get("outcome", {})
        how = VERDICTS.get(run.state, "The champion was kept")
        return f"{how}: {outcome.get('reason', 'no reason is recorded')}"

    def _count(self, project: int) -> Waiting:
        store = self._site.store
        return Waiting(corrections=store.corrections_since(project), patients=store.patients_since(project))

    def _measure(self, project: int) -> list[WeekOfEffort]:
        records = self._site.efforts(project).records
        weeks = grouped(records, ["week"])
        return [
            WeekOfEffort(
                week=date.fromisoformat(str(week)),
                images=summary.images,
                accept_rate=summary.accept_rate,
                dice=summary.dice,
                lead_time=summary.lead_time,
            )
            for (week,), summary in sorted(weeks.items())
        ]
