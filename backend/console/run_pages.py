"""What the page of a run shows: its stages with their durations, its curves, and its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from backend.console.charts import MAX_SERIES, Series, line_chart
from mammo.runs import ENDED, Run, RunEvent
from mammo.verdicts.figure_names import figure_name

STATE_WORDS = {
    "queued": "waiting for a worker",
    "building": "building the dataset version",
    "detector": "training the detector",
    "segmenter": "training the segmenter",
    "evaluating": "evaluating champion and challenger on the test patients",
    "judged": "judged",
    "promoted": "challenger promoted",
    "kept": "champion kept",
    "provisional": "provisional model serves its project",
    "failed": "failed",
    "cancelled": "cancelled",
}


@dataclass(frozen=True)
class StageTime:
    """A state that a run has entered."""

    name: str
    began_at: datetime
    seconds: float | None
    """How long it lasted, or has lasted until now; None for the state that ended the run."""


def stage_times(events: Sequence[RunEvent], *, now: datetime | None = None) -> list[StageTime]:
    """Return the states of a run in the order in which it entered them."""
    entered = [event for event in events if event.state is not None]
    ends = [*(event.at for event in entered[1:]), now or datetime.now(UTC)][: len(entered)]
    return [
        StageTime(
            STATE_WORDS[event.state or ""],
            event.at,
            None if event.state in ENDED else (end - event.at).total_seconds(),
        )
        for event, end in zip(entered, ends, strict=True)
    ]


VALIDATION = "validation "
"""Beginning of the names of scores; the other curves are losses."""


@dataclass(frozen=True)
class Curves:
    """The losses, or the validation scores, of one network's training."""

    title: str
    chart: Markup
    rows: list[tuple[str, float, float, float, int]]
    """Name, first value, last value, best value, and the epoch or step of the best."""


def training_curves(curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]) -> list[Curves]:
    """Return the curves of a run's trainings, as `Runs.curves` has them; empty before the first value."""
    shown = []
    for network, named in curves.items():
        for is_score, what in ((False, "loss"), (True, "validation score")):
            chosen = {
                name.removeprefix(VALIDATION): points
                for name, points in sorted(named.items())
                if name.startswith(VALIDATION) == is_score
            }
            series = [Series(name, points) for name, points in chosen.items()][:MAX_SERIES]
            if not series:
                continue
            title = f"{network.capitalize()}: {what}"
            rows = [_curve_row(each, highest=is_score) for each in series]
            shown.append(Curves(title, line_chart(title, series), rows))
    return shown


def _curve_row(series: Series, *, highest: bool) -> tuple[str, float, float, float, int]:
    values = [value for _, value in series.points]
    best = max(values) if highest else min(values)
    return series.name, values[0], values[-1], best, int(series.points[values.index(best)][0])


def verdict_rows(verdict: Mapping[str, Any]) -> list[tuple[str, float | None, float | None]]:
    """Return the figures of champion and challenger side by side; empty before the verdict."""
    champion, challenger = verdict.get("champion") or {}, verdict.get("challenger") or {}
    return [
        (figure_name(name), champion.get(name), value)
        for name, value in challenger.items()
        if name != "version" and (value is None or isinstance(value, int | float))
    ]


def plain_failure(run: Run) -> str:
    """Return why a run failed, for a person; empty if it did not."""
    if run.state != "failed":
        return ""
    return run.error or f"it failed ({run.failure or 'no reason is recorded'}); see its log"
