"""Automatic annotations: predictions that this service submitted as annotations, without a person.

A submission is recorded before it is sent to Label Studio, so a crash in between leaves no annotation that looks human.
An annotation is automatic as long as its author is the submitting account and its regions equal the prediction. Once a
person edits it, it is that person's.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.database import automatic_annotation, insert, revision, writing
from mammo.lenient_json import canonical, loads

CHUNK = 200
"""Revisions whose content is read by one statement."""


@dataclass(frozen=True, kw_only=True)
class AutomaticAnnotation:
    """A prediction that is submitted as an annotation."""

    project: int
    task: int
    model_version: str
    account: int
    """Label Studio user id of the submitting account."""

    score: float
    threshold: float
    """Score from which predictions are submitted."""


def record_automatic(
    engine: Engine, submission: AutomaticAnnotation, result: Sequence[dict[str, Any]]
) -> None:
    """Record a submission before it is sent; a repeated job overwrites its record.

    Raises:
        StorageUnavailable: The submission was not recorded, so it must not be sent.
    """
    row = {
        "project": submission.project,
        "task": submission.task,
        "model_version": submission.model_version,
        "account": submission.account,
        "digest": _digest(result),
        "score": submission.score,
        "threshold": submission.threshold,
        "decided_at": datetime.now(UTC),
    }
    with writing(engine) as connection:
        new = insert(connection, automatic_annotation).values(row)
        key = ["project", "task", "model_version"]
        changed = {name: new.excluded[name] for name in row if name not in key}
        connection.execute(new.on_conflict_do_update(index_elements=key, set_=changed))


def record_automatic_id(engine: Engine, submission: AutomaticAnnotation, annotation: int) -> None:
    """Add Label Studio's annotation id to the record; informative only, the annotation is recognised without it."""
    columns = automatic_annotation.c
    record = (
        columns.project == submission.project,
        columns.task == submission.task,
        columns.model_version == submission.model_version,
    )
    with writing(engine) as connection:
        connection.execute(sa.update(automatic_annotation).where(*record).values(annotation=annotation))


def automatic_revisions(connection: Connection, project: int, rows: Collection[int]) -> set[int]:
    """Return the automatic ones among some revisions of a project.

    Args:
        rows: Row ids in the table `revision`.
    """
    columns = automatic_annotation.c
    same_author = sa.and_(
        columns.project == revision.c.project,
        columns.task == revision.c.task,
        columns.account == revision.c.completed_by,
    )
    statement = (
        sa.select(revision.c.id, columns.digest)
        .join(automatic_annotation, same_author)
        .where(revision.c.project == project, revision.c.kind == "annotation")
    )
    digests: dict[int, set[str]] = defaultdict(set)
    for row, digest in connection.execute(statement):
        if row in rows:
            digests[row].add(digest)
    candidates, automatic = list(digests), set()
    for start in range(0, len(candidates), CHUNK):
        results = sa.select(revision.c.id, revision.c.result).where(
            revision.c.id.in_(candidates[start : start + CHUNK])
        )
        for row, result in connection.execute(results):
            if _digest(loads(result)) in digests[row]:
                automatic.add(row)
    return automatic


def _digest(result: Sequence[dict[str, Any]]) -> str:
    return hashlib.sha256(canonical(list(result))).hexdigest()
