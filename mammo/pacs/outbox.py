"""Outbox of results for the PACS: one row for each version of a result, from before it is sent on; never deleted.

A row holds the result as the site's files are identified: without patient, if these are. It is claimed before it is
sent, for `LEASE`; a process that is killed meanwhile leaves the claim, and when that has run out, the result is sent
again with the same SOPInstanceUID, so that the PACS holds it once.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.audit import append
from mammo.database import insert, pacs_result, reading, writing
from mammo.dicom.results import Predecessor, ResultSource

LEASE = timedelta(minutes=15)
"""Time for which a claim holds; longer than an attempt takes."""

PAUSES = tuple(timedelta(seconds=each) for each in (30, 60, 300, 900, 1800, 3600))
"""Pauses after failed attempts; the last one is repeated for as long as the PACS is away."""

MAX_PROBLEM = 400
"""Maximum length of the recorded reason of a failed attempt, in characters."""

ResultState = Literal["waiting", "delivered", "refused"]


@dataclass(frozen=True, kw_only=True)
class PacsResult:
    """One version of a result, on its way to the PACS or there."""

    id: int
    kind: str
    subject: str
    """SOPInstanceUID of the image that it is about, or StudyInstanceUID for a CAD report."""

    content: str
    num_findings: int
    study: str
    series: str
    image: str
    width: int
    height: int
    sop_class: str
    sop_instance: str
    result_series: str
    predecessor: str
    """SOPInstanceUID of the version that it replaces; empty for the first one."""

    actor: str
    state: ResultState
    attempts: int
    due_at: datetime | None
    """Next attempt; None once it has ended."""

    created_at: datetime
    ended_at: datetime | None
    problem: str | None
    """Why the last attempt failed."""

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object without UIDs, which may identify the patient."""
        names = ("id", "kind", "num_findings", "actor", "state", "attempts", "problem")
        times = {name: getattr(self, name) for name in ("due_at", "created_at", "ended_at")}
        return {
            **{name: getattr(self, name) for name in names},
            "replaces_earlier": bool(self.predecessor),
            **{name: time and time.isoformat() for name, time in times.items()},
        }

    def as_predecessor(self) -> Predecessor:
        """Return how the next version names this one."""
        return Predecessor(
            sop_class_uid=self.sop_class,
            sop_instance_uid=self.sop_instance,
            series_instance_uid=self.result_series,
            study_instance_uid=self.study,
        )

    @property
    def source(self) -> ResultSource:
        """The mammogram that it is about, or the first one."""
        return ResultSource(
            study=self.study, series=self.series, instance=self.image, width=self.width, height=self.height
        )


class ResultOutbox:
    """Reads and writes the outbox. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def latest(self, kind: str, subject: str) -> PacsResult | None:
        """Return the newest version of a result, whether the PACS has it already or not; none that it refused."""
        table = pacs_result
        found = self._select(
            (table.c.kind == kind) & (table.c.subject == subject) & (table.c.state != "refused"), limit=1
        )
        return found[0] if found else None

    def add(self, *, body: bytes, now: datetime, **values: Any) -> bool:
        """Store a version of a result, due at once; return False if it is there already.

        Args:
            body: the DICOM file.
            values: the columns from `kind` to `actor`.
        """
        row = {
            **values,
            "body": zlib.compress(body),
            "state": "waiting",
            "attempts": 0,
            "due_at": now,
            "created_at": now,
        }
        with writing(self._engine) as connection:
            statement = insert(connection, pacs_result).values(row).on_conflict_do_nothing()
            return connection.scalar(statement.returning(pacs_result.c.id)) is not None

    def revive(self, sop_instance: str, *, now: datetime) -> bool:
        """Make a result due that the PACS has refused, because it is sent once more; return whether there is one."""
        table = pacs_result
        with writing(self._engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(table.c.sop_instance == sop_instance, table.c.state == "refused")
                .values(state="waiting", due_at=now, ended_at=None)
            )
        return bool(changed.rowcount)

    def due(self, *, now: datetime, limit: int = 100) -> list[PacsResult]:
        """Return the results whose next attempt is due, oldest first, none before an earlier version of it."""
        table, earlier = pacs_result, pacs_result.alias()
        first = sa.select(sa.func.min(earlier.c.id)).where(
            earlier.c.state == "waiting", earlier.c.kind == table.c.kind, earlier.c.subject == table.c.subject
        )
        condition = (
            (table.c.state == "waiting") & (table.c.due_at <= now) & (table.c.id == first.scalar_subquery())
        )
        return self._select(condition, limit=limit, newest_first=False)

    def claim(self, result: PacsResult, *, now: datetime) -> PacsResult | None:
        """Claim a result for one attempt; None if another process has."""
        table = pacs_result
        with writing(self._engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(table.c.id == result.id, table.c.state == "waiting", table.c.due_at == result.due_at)
                .values(due_at=now + LEASE, attempts=table.c.attempts + 1)
            )
        return self._select(table.c.id == result.id, limit=1)[0] if changed.rowcount else None

    def body(self, result: PacsResult) -> bytes:
        """Return the DICOM file of a result."""
        statement = sa.select(pacs_result.c.body).where(pacs_result.c.id == result.id)
        with reading(self._engine) as connection:
            return zlib.decompress(connection.execute(statement).scalar_one())

    def delivered(self, result: PacsResult, *, now: datetime) -> None:
        """Record that the PACS has a claimed result."""
        self._update(result, state="delivered", due_at=None, ended_at=now, problem=None)

    def refused(self, result: PacsResult, problem: str, *, now: datetime) -> None:
        """Record that the PACS cannot take a claimed result, whenever it is sent."""
        self._update(result, state="refused", due_at=None, ended_at=now, problem=problem[:MAX_PROBLEM])

    def failed(self, result: PacsResult, problem: str, *, now: datetime) -> None:
        """Record a failed attempt of a claimed result, and when the next one is due."""
        pause = PAUSES[min(result.attempts, len(PAUSES)) - 1]
        self._update(result, due_at=now + pause, problem=problem[:MAX_PROBLEM])

    def hasten(self, *, now: datetime, actor: str) -> int:
        """Make all waiting results due, but those that are being sent; return their number.

        Recorded in the audit trail if there is any.
        """
        table = pacs_result
        with writing(self._engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(table.c.state == "waiting", table.c.due_at > now, table.c.problem.is_not(None))
                .values(due_at=now)
            )
            due = int(changed.rowcount)
            if due:
                reason = f"{due} results are due now"
                append(connection, actor=actor, action="results retried", subject="PACS", reason=reason)
        return due

    def newest(self, *, limit: int) -> list[PacsResult]:
        """Return results, newest first."""
        return self._select(sa.true(), limit=limit)

    def counts(self) -> dict[str, int]:
        """Return the number of results by state."""
        statement = sa.select(pacs_result.c.state, sa.func.count()).group_by(pacs_result.c.state)
        with reading(self._engine) as connection:
            return {str(state): int(number) for state, number in connection.execute(statement)}

    def _select(
        self, condition: sa.ColumnElement[bool], *, limit: int, newest_first: bool = True
    ) -> list[PacsResult]:
        columns = [each for each in pacs_result.c if each.name != "body"]
        order = pacs_result.c.id.desc() if newest_first else pacs_result.c.id
        statement = sa.select(*columns).where(condition).order_by(order).limit(limit)
        with reading(self._engine) as connection:
            return [PacsResult(**row._mapping) for row in connection.execute(statement)]

    def _update(self, result: PacsResult, **values: Any) -> None:
        """Change a result, unless another process has claimed it since."""
        table = pacs_result
        with writing(self._engine) as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.id == result.id, table.c.attempts == result.attempts)
                .where(table.c.state == "waiting")
                .values(values)
            )
