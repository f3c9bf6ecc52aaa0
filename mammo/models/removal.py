"""The removal of a version's files: `models gc` takes only those of a version that nothing has begun to use meanwhile.

Whoever removes the files and whoever pins a project lock the version first, so one of them sees what the other did.
Registering the version again, as the import of its bundle does, brings the files back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.database import alias, model_note, model_version, project_pin, provisional_model, writing

if TYPE_CHECKING:
    from mammo.models.registry import Note

FILES_REMOVED, FILES_RESTORED = "files_removed", "files_restored"
"""Kinds of notes about it; the newest of them holds."""


def remove_files(engine: Engine, version: str) -> bool:
    """Record that a version's files are removed, unless it has an alias or serves a project by now; returns whether."""
    with writing(engine) as connection:
        lock(connection, version)
        if any(
            connection.scalar(sa.select(table.c.version).where(table.c.version == version).limit(1))
            for table in (alias, project_pin, provisional_model)
        ):
            return False
        _note(connection, version, FILES_REMOVED, "it never served")
    return True


def restore_files(connection: Connection, version: str) -> None:
    """Record that a version's files are stored again, if they were removed."""
    lock(connection, version)
    if is_removed(connection, version):
        _note(connection, version, FILES_RESTORED, "it was registered again")


def lock(connection: Connection, version: str) -> None:
    """Wait for other transactions that lock the version; SQLite has one transaction that writes at a time anyway."""
    connection.execute(
        sa.select(model_version.c.version).where(model_version.c.version == version).with_for_update()
    )


def is_removed(connection: Connection, version: str) -> bool:
    """Return whether a version's files are removed, or about to be."""
    columns = model_note.c
    newest = (
        sa.select(columns.kind)
        .where(columns.version == version, columns.kind.in_((FILES_REMOVED, FILES_RESTORED)))
        .order_by(columns.id.desc())
        .limit(1)
    )
    return connection.scalar(newest) == FILES_REMOVED


def removed_versions(notes: Iterable[Note]) -> set[str]:
    """Return the versions whose files are removed.

    Args:
        notes: of one version or of all, oldest first.
    """
    newest = {note.version: note.kind for note in notes if note.kind in (FILES_REMOVED, FILES_RESTORED)}
    return {version for version, kind in newest.items() if kind == FILES_REMOVED}


def _note(connection: Connection, version: str, kind: str, reason: str) -> None:
    row = {"version": version, "kind": kind, "detail": orjson.dumps({"reason": reason})}
    connection.execute(sa.insert(model_note).values(**row, at=datetime.now(UTC)))
