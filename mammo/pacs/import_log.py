"""ImportLog: the imports that somebody asked for at the console or over HTTP, and how they ended.

A job of the queue names a row; what it shall import is here, encrypted with the site's patient secret, because it may
name patients, whom neither Redis nor a copy of the database shall know.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from cryptography.fernet import InvalidToken
from sqlalchemy.engine import Engine

from mammo.audit import append
from mammo.database import pacs_import, reading, writing
from mammo.errors import ImportConflict, PacsError, UnknownImport
from mammo.pacs.import_order import ImportOrder
from mammo.pacs.site_cipher import site_cipher

ImportState = Literal["waiting", "finished", "failed", "stopped"]

MAX_PROBLEM = 400
"""Maximum length of the recorded reason of a failure, in characters."""


@dataclass(frozen=True, kw_only=True)
class PacsImport:
    """One import."""

    id: int
    project: int
    what: str
    """What was asked for, without anything that names a patient."""

    actor: str
    state: ImportState
    """`waiting` until its job ends it, or a person stops it; whether that job is there, the queue knows
    (`mammo.runs.jobs.import_job`)."""

    outcome: dict[str, Any] | None
    """As `mammo.pacs.importer.Imported.to_json` returns it."""

    problem: str | None
    created_at: datetime
    ended_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        times = {name: getattr(self, name) for name in ("created_at", "ended_at")}
        return {**vars(self), **{name: time and time.isoformat() for name, time in times.items()}}


class ImportLog:
    """The table of imports. Safe to share between threads and processes."""

    def __init__(self, engine: Engine, secret: bytes) -> None:
        """
        Args:
            secret: the site's patient secret.
        """
        self._engine = engine
        self._cipher = site_cipher(secret, "pacs import")

    def add(self, order: ImportOrder, *, project: int, actor: str) -> int:
        """Record an import that was asked for; return its number."""
        row = {
            "project": project,
            "asked": self._cipher.encrypt(orjson.dumps(order.to_json())),
            "what": order.what,
            "actor": actor,
            "state": "waiting",
            "created_at": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            statement = sa.insert(pacs_import).values(row).returning(pacs_import.c.id)
            return int(connection.execute(statement).scalar_one())

    def remove(self, number: int) -> None:
        """Remove an import that was never begun."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(pacs_import).where(pacs_import.c.id == number))

    def reopen(self, number: int) -> None:
        """Let an import that has ended wait again."""
        with writing(self._engine) as connection:
            connection.execute(
                sa.update(pacs_import)
                .where(pacs_import.c.id == number)
                .values(state="waiting", problem=None, ended_at=None)
            )

    def stop(self, number: int, *, actor: str) -> None:
        """End an import that waits or runs; its job sees that between two images.

        Raises:
            UnknownImport: there is none of this number.
            ImportConflict: it has ended.
        """
        found = self.get(number)
        with writing(self._engine) as connection:
            stopped = connection.execute(
                sa.update(pacs_import)
                .where(pacs_import.c.id == number, pacs_import.c.state == "waiting")
                .values(state="stopped", ended_at=datetime.now(UTC))
            )
            if not stopped.rowcount:
                raise ImportConflict(
                    f"import {number} has ended ({self.get(number).state}); only one that waits or runs is stopped"
                )
            reason = f"import {number} from the PACS: {found.what}"
            append(
                connection,
                actor=actor,
                action="import stopped",
                subject=f"project {found.project}",
                reason=reason,
            )

    def ended(self, number: int, *, outcome: dict[str, Any], problem: str | None) -> None:
        """Record how an import ended; a stopped one stays stopped.

        Args:
            problem: why it failed; None: it did not.
        """
        state = "finished" if problem is None else "failed"
        values = {
            "state": sa.case((pacs_import.c.state == "stopped", "stopped"), else_=state),
            "outcome": orjson.dumps(outcome).decode(),
            "problem": problem and problem[:MAX_PROBLEM],
            "ended_at": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            connection.execute(sa.update(pacs_import).where(pacs_import.c.id == number).values(values))

    def restore(self, found: PacsImport) -> None:
        """Undo `reopen`: record that an import ended as it was found."""
        values = {"state": found.state, "problem": found.problem, "ended_at": found.ended_at}
        with writing(self._engine) as connection:
            connection.execute(sa.update(pacs_import).where(pacs_import.c.id == found.id).values(values))

    def order(self, number: int) -> ImportOrder:
        """Return what an import shall take.

        Raises:
            UnknownImport: there is none of this number.
            PacsError: the patient secret is another one than when it was asked for (code `pacs_other_secret`).
        """
        column = sa.select(pacs_import.c.asked).where(pacs_import.c.id == number)
        with reading(self._engine) as connection:
            asked = connection.scalar(column)
        if asked is None:
            raise _unknown(number)
        try:
            return ImportOrder.from_json(orjson.loads(self._cipher.decrypt(bytes(asked))))
        except InvalidToken:
            raise PacsError(
                f"import {number} was asked for with another YOLO_MLSAM_PATIENT_SECRET; ask for it again",
                code="pacs_other_secret",
            ) from None

    def get(self, number: int) -> PacsImport:
        """Return an import; raises UnknownImport: there is none of this number."""
        found = self._select(pacs_import.c.id == number, limit=1)
        if not found:
            raise _unknown(number)
        return found[0]

    def newest(self, *, project: int | None = None, limit: int) -> list[PacsImport]:
        """Return imports, newest first."""
        return self._select(sa.true() if project is None else pacs_import.c.project == project, limit=limit)

    def _select(self, condition: sa.ColumnElement[bool], *, limit: int) -> list[PacsImport]:
        columns = [each for each in pacs_import.c if each.name != "asked"]
        statement = sa.select(*columns).where(condition).order_by(pacs_import.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            rows = [dict(row._mapping) for row in connection.execute(statement)]
        return [
            PacsImport(**{**row, "outcome": row["outcome"] and orjson.loads(row["outcome"])}) for row in rows
        ]


def _unknown(number: int) -> UnknownImport:
    return UnknownImport(f"there is no import {number} from the PACS; the page PACS of the console lists all")
