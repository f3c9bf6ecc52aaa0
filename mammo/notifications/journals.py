"""Journals: notices of what the database records: ends of runs, moves of the champion, changes of stage by the audit,
runs that were refused.

A journal is read from a cursor on. In PostgreSQL a row may be committed after one with a higher number, so the cursor
stays behind rows that are younger than `SETTLED`, and these are read again; a channel receives each event once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.audit import REFUSED_RUN
from mammo.database import audit_entry, promotion, run, run_event, stage_change
from mammo.models import CHAMPION
from mammo.notifications.notice import Notice
from mammo.runs.failures import ADVICE
from mammo.runs.states import NO_PROJECT
from mammo.stages.service import AUDIT

SETTLED = timedelta(minutes=10)
"""Age from which no row with a lower number is still to come: no transaction of ours takes as long."""

VERDICTS = {
    "promoted": "its model was promoted",
    "kept": "the champion was kept",
    "provisional": "its provisional model serves this project",
}
"""What became of a judged run, by its state."""


@dataclass(frozen=True)
class Journal:
    """A table to which what happens is appended."""

    name: str
    rows: sa.Select[Any]
    """With the columns `id` and `at`."""

    id: sa.ColumnElement[int]
    notice: Callable[[Any], Notice]


def new_notices(
    connection: Connection, journal: Journal, *, after: int, now: datetime
) -> tuple[list[Notice], int]:
    """Return the notices after a cursor, oldest first, and where the cursor may move to."""
    notices: list[Notice] = []
    cursor, settled = after, True
    for row in connection.execute(journal.rows.where(journal.id > after).order_by(journal.id)):
        notices.append(journal.notice(row))
        settled = settled and row.at < now - SETTLED
        cursor = row.id if settled else cursor
    return notices, cursor


def _end_of_run(row: Any) -> Notice:
    name, project = row.run, None if row.project == NO_PROJECT else row.project
    facts: dict[str, str | int | float] = {"run": name, "state": row.state}
    if row.state == "failed":
        kind = row.failure or "unknown"
        advice_of: Mapping[Any, str] = ADVICE
        # The sentence of the failure may quote what was read; its kind cannot.
        advice = advice_of.get(kind, f"`yolo-mlsam runs show {name}` says why")
        topic, text = "run-failed", f"Run {name} failed ({kind}): {advice}."
        facts["failure"] = kind
    else:
        verdict = VERDICTS[row.state]
        topic, text = "run-finished", f"Run {name} finished: {verdict}."
    return Notice(
        event=f"run-event-{row.id}", topic=topic, project=project, at=row.at, text=text, facts=facts
    )


def _move_of_champion(row: Any) -> Notice:
    facts: dict[str, str | int | float] = {
        "model": row.version,
        "by": "gate" if row.actor == "gate" else "person",
    }
    if row.kind == "roll_back":
        topic, text = "rolled-back", f"The champion was rolled back: {row.version} serves again."
    else:
        topic, text = "promoted", f"Model {row.version} is the champion now."
    return Notice(event=f"promotion-{row.id}", topic=topic, project=None, at=row.at, text=text, facts=facts)


def _sent_back(row: Any) -> Notice:
    return Notice(
        event=f"stage-change-{row.id}",
        topic="sent-back",
        project=row.project,
        at=row.at,
        text=f"The audit sent project {row.project} back from {row.before} to {row.stage}; "
        f"`yolo-mlsam stage show {row.project}` says on which figures.",
        facts={"before": row.before, "stage": row.stage},
    )


def _refused(row: Any) -> Notice:
    project = int(row.subject.removeprefix("project "))
    return Notice(
        event=f"run-refused-{row.id}",
        topic="run-refused",
        project=project,
        at=row.at,
        text=f"Start training did nothing: {row.reason}.",
    )


def journals() -> Iterator[Journal]:
    """Yield every journal."""
    ends = (*VERDICTS, "failed")
    yield Journal(
        "runs",
        sa.select(
            run_event.c.id, run_event.c.at, run_event.c.run, run_event.c.state, run.c.project, run.c.failure
        )
        .join(run, run.c.id == run_event.c.run)
        .where(run_event.c.kind == "state", run_event.c.state.in_(ends)),
        run_event.c.id,
        _end_of_run,
    )
    yield Journal(
        "promotions",
        sa.select(promotion).where(promotion.c.alias == CHAMPION),
        promotion.c.id,
        _move_of_champion,
    )
    yield Journal(
        "stages",
        sa.select(stage_change).where(stage_change.c.actor == AUDIT),
        stage_change.c.id,
        _sent_back,
    )
    refused = audit_entry.c
    yield Journal(
        "refused-runs",
        sa.select(refused.number.label("id"), refused.at, refused.subject, refused.reason).where(
            refused.action == REFUSED_RUN
        ),
        refused.number,
        _refused,
    )
