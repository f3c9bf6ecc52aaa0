"""Provisional models: versions that serve the one project they were made for, until a champion is judged for it.

A provisional model is made from a few corrections and judged by leaving patients out, so it has learned from patients
that the gate holds out. It therefore never becomes champion, and no training begins with it: it serves its project in
the champion's place, which is recorded here. What pins the project (`mammo.models.pins`) goes before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.audit import append
from mammo.database import insert, provisional_model, reading, writing
from mammo.errors import ModelNotFound

PROVISIONAL_NOTE = (
    "A provisional model made this prelabel: it learned from a few corrections of this project. "
    "Check it with more care than usual."
)
"""Text in the note of every prelabel of such a version."""


@dataclass(frozen=True, kw_only=True)
class Provisional:
    """A provisional model that serves a project."""

    project: int
    version: str
    reason: str
    """How it was judged, in a sentence."""

    since: datetime


def serve(connection: Connection, project: int, version: str, *, reason: str, actor: str) -> None:
    """Let a provisional version serve a project, in place of an earlier one; recorded in the audit trail."""
    row = {"project": project, "version": version, "reason": reason, "since": datetime.now(UTC)}
    statement = insert(connection, provisional_model).values(row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["project"], set_={key: row[key] for key in ("version", "reason", "since")}
        )
    )
    append(
        connection,
        actor=actor,
        action="provisional model serves",
        subject=f"project {project}",
        reason=f"{version}: {reason}",
    )


def withdraw(connection: Connection, project: int, *, reason: str, actor: str) -> str | None:
    """End the service of a project's provisional version, which is returned; None if there was none.

    From then on the champion serves the project. Recorded in the audit trail.
    """
    removed = sa.delete(provisional_model).where(provisional_model.c.project == project)
    version: str | None = connection.scalar(removed.returning(provisional_model.c.version))
    if version is not None:
        append(
            connection,
            actor=actor,
            action="provisional model withdrawn",
            subject=f"project {project}",
            reason=f"{version}: {reason}",
        )
    return version


class ProvisionalModels:
    """The provisional models that serve now. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> dict[int, Provisional]:
        """Return the provisional models by project."""
        columns = provisional_model.c
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(provisional_model).order_by(columns.project)).all()
        return {
            row.project: Provisional(
                project=row.project, version=row.version, reason=row.reason, since=row.since
            )
            for row in rows
        }

    def versions(self) -> dict[int, str]:
        """Return the provisional version that serves each project that has one."""
        return {project: each.version for project, each in self.all().items()}

    def withdraw(self, project: int, *, reason: str, actor: str) -> str:
        """End the service of a project's provisional version; returns the version.

        Raises:
            ModelNotFound: No provisional model serves the project (code `no_provisional_model`).
        """
        with writing(self._engine) as connection:
            version = withdraw(connection, project, reason=reason, actor=actor)
        if version is None:
            raise ModelNotFound(
                f"no provisional model serves project {project}; `yolo-mlsam models list` shows those that serve",
                code="no_provisional_model",
            )
        return version
