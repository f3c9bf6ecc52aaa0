"""ProjectOverviews: per project which model serves since when, what waits, what was decided last, and what runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from backend.connected_projects import ConnectedProjects
from backend.readiness import Waiting, readiness
from backend.refreshed import PATIENCE, Figure, Refreshed
from backend.requested_runs import Refusal, newest_refusals
from mammo.efforts.effort_records import grouped
from mammo.models import Pin, Promotion, Provisional
from mammo.runs import Run
from mammo.runs.records import PICTURES
from mammo.site import Site
from mammo.words.records import WordState

VERDICTS = {
    "promoted": "The challenger was promoted",
    "kept": "The champion was kept",
    "provisional": "A provisional model serves",
}
"""What became of a judged run, by its state."""


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
    is_new: bool
    """Whether it is connected, and nothing of it was prelabelled or annotated yet."""

    words: WordState
    """Whether the model proposes words of BI-RADS."""

    refusal: Refusal | None
    """What Label Studio's button was refused lately, since the last run; None: nothing."""

    serving: str | None
    serving_since: datetime | None
    pin: Pin | None
    """What keeps the project on this model; None if nothing does."""

    provisional: Provisional | None
    """The provisional model that serves the project; None if another model does."""

    waiting: Figure[Waiting]
    readiness: str
    last_run: Run | None
    """The last retrain that ended."""

    last_verdict: str
    """In one sentence; empty without one."""

    has_pictures: bool
    """Whether the last retrain kept its verdict with pictures."""

    active_run: Run | None

    def to_json(self) -> dict[str, Any]:
        """Return the overview as a JSON object, with times as ISO text."""
        waiting = self.waiting.value
        return {
            "project": self.project,
            "new": self.is_new,
            "proposed_words": list(self.words.proposes),
            "refused_at": self.refusal.at.isoformat() if self.refusal else None,
            "refused": self.refusal.reason if self.refusal else None,
            "next_step": next_step(self.project) if self.is_new else None,
            "serving": self.serving,
            "serving_since": self.serving_since.isoformat() if self.serving_since else None,
            "pinned": self.pin is not None,
            "pin": self.pin.to_json() if self.pin else None,
            "provisional": self.provisional is not None,
            "corrections_waiting": waiting.corrections if waiting else None,
            "patients_waiting": waiting.patients if waiting else None,
            "counted_at": self.waiting.at.isoformat() if self.waiting.at else None,
            "readiness": self.readiness,
            "last_verdict": self.last_verdict or None,
            "last_run": self.last_run.id if self.last_run else None,
            "last_verdict_has_pictures": self.has_pictures,
            "active_run": self.active_run.to_json() if self.active_run else None,
        }


def next_step(project: int) -> str:
    """Return what to do in a project of which nothing was prelabelled or annotated yet."""
    return (
        "Nothing of this project was prelabelled or annotated yet. Import mammograms (`yolo-mlsam import FOLDER "
        f"--project {project}`), open a task in Label Studio, and submit the corrected outlines."
    )


class ProjectOverviews:
    """Reads the overviews of a site. Counting corrections takes long, so it is done in the background."""

    def __init__(self, site: Site) -> None:
        self._site = site
        thread = ThreadPoolExecutor(1, thread_name_prefix="figures")
        self._waiting: Refreshed[int, Waiting] = Refreshed(
            lambda project: Waiting.of(project, site.store), stamp=self._news, thread=thread
        )
        self._connected = ConnectedProjects(site)
        self._efforts: Refreshed[int, list[WeekOfEffort]] = Refreshed(
            self._measure, stamp=lambda _: site.store.last_event(), thread=thread
        )

    def all(self, *, ends: float | None = None) -> list[ProjectOverview]:
        """Return the overview of every project that is connected, or of which anything is known, by number.

        Args:
            ends: time, by `time.monotonic`, until which a first look waits; None: `PATIENCE` from now.
        """
        ends = time.monotonic() + PATIENCE if ends is None else ends
        known = {*self._site.store.projects(), *self._site.runs.runs.projects()} - {0}
        connected = self._connected.all(patience=_left(ends))
        history = self._site.registry.history()
        provisional, pins = self._site.provisional.all(), self._site.pins.all()
        words, refusals = self._site.word_heads.states(), newest_refusals(self._site)
        return [
            self._overview(
                project,
                history,
                pins.get(project),
                provisional.get(project),
                ends,
                is_new=project not in known,
                words=words.get(project) or WordState(project=project),
                refusal=refusals.get(project),
            )
            for project in sorted(known.union(connected))
        ]

    def effort(self, project: int, *, ends: float) -> Figure[list[WeekOfEffort]]:
        """Return the edit effort of a project by week, oldest first.

        Args:
            ends: time, by `time.monotonic`, until which a first look waits.
        """
        return self._efforts.get(project, patience=_left(ends))

    def close(self) -> None:
        """Start no computation any more."""
        self._connected.close()
        self._waiting.close()
        self._efforts.close()

    def _overview(
        self,
        project: int,
        history: Sequence[Promotion],
        pin: Pin | None,
        provisional: Provisional | None,
        ends: float,
        *,
        is_new: bool,
        words: WordState,
        refusal: Refusal | None,
    ) -> ProjectOverview:
        own = pin or provisional
        runs = self._site.runs.runs
        waiting = self._waiting.get(project, patience=_left(ends))
        ended, active = runs.last_retrain(project), runs.active(project)
        outcome = runs.result(ended.id, "outcome") if ended else {}
        if refusal and any(run is not None and run.created_at > refusal.at for run in (ended, active)):
            refusal = None  # a later run was possible
        return ProjectOverview(
            project=project,
            is_new=is_new,
            words=words,
            refusal=refusal,
            serving=own.version if own else history[-1].version if history else None,
            serving_since=own.since if own else history[-1].at if history else None,
            pin=pin,
            provisional=None if pin else provisional,
            waiting=waiting,
            readiness=self._readiness(waiting, active),
            last_run=ended,
            last_verdict=_verdict(ended, outcome) if ended else "",
            has_pictures=PICTURES in outcome,
            active_run=active,
        )

    def _readiness(self, waiting: Figure[Waiting], active: Run | None) -> str:
        if active is not None:
            return "A run is active; it uses the corrections that were there when it began."
        if waiting.value is None:
            return waiting.problem or "The new corrections are being counted; reload in a moment."
        settings = self._site.settings
        return readiness(waiting.value, settings, settings.recipe)

    def _news(self, project: int) -> object:
        """What the count of new corrections depends on."""
        return self._site.store.last_event(), self._site.store.newest_dataset(project)

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


def _left(ends: float) -> float:
    return max(0.0, ends - time.monotonic())


def _verdict(run: Run, outcome: Mapping[str, Any]) -> str:
    if run.state in ("failed", "cancelled"):
        return f"The last run {'failed' if run.state == 'failed' else 'was cancelled'}. {run.error or ''}".strip()
    how = VERDICTS.get(run.state, "The champion was kept")
    return f"{how}: {outcome.get('reason', 'no reason is recorded')}"
