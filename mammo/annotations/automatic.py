"""Automatic annotations: predictions that became annotations without a person, and how they are told from human ones.

What is going to be submitted is written down before Label Studio is told, so that a crash in between leaves no
annotation that looks human. An annotation is automatic while the account that submitted it is still its author and
its regions are still those of the prediction: as soon as a person changes one, it is that person's.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.annotations.events import canonical
from mammo.database import automatic_annotation, insert, revision, writing

CHUNK = 200
"""Revisions that are opened together."""


@dataclass(frozen=True, kw_only=True)
class Automatic:
    """A prediction that is to become an annotation, or has."""

    project: int
    task: int
    model_version: str
    account: int
    """Number of the Label Studio user that submits it."""

    score: float
    threshold: float
    """That it had to reach."""


def record_automatic(engine: Engine, order: Automatic, result: Sequence[dict[str, Any]]) -> None:
    """Write down what will be submitted; once more changes nothing but the account.

    Raises:
        StorageUnavailable: it is not written, and must not be submitted.
    """
    row = {
        "project": order.project,
        "task": order.task,
        "model_version": order.model_version,
        "account": order.account,
        "digest": _digest(result),
        "score": order.score,
        "threshold": order.threshold,
        "decided_at": datetime.now(UTC),
    }
    with writing(engine) as connection:
        new = insert(connection, automatic_annotation).values(row)
        key = ["project", "task", "model_version"]
        changed = {name: new.excluded[name] for name in row if name not in key}
        connection.execute(new.on_conflict_do_update(index_elements=key, set_=changed))


def name_automatic(engine: Engine, order: Automatic, annotation: int) -> None:
    """Note Label Studio's number of the annotation; without it, it is known all the same."""
    columns = automatic_annotation.c
    mine = (
        columns.project == order.project,
        columns.task == order.task,
        columns.model_version == order.model_version,
    )
    with writing(engine) as connection:
        connection.execute(sa.update(automatic_annotation).where(*mine).values(annotation=annotation))


def automatic_revisions(connection: Connection, project: int, rows: Collection[int]) -> set[int]:
    """Of these revisions of a project, those that are automatic: by row number."""
    columns = automatic_annotation.c
    same = sa.and_(
        columns.project == revision.c.project,
        columns.task == revision.c.task,
        columns.account == revision.c.completed_by,
    )
    statement = (
        sa.select(revision.c.id, columns.digest)
        .join(automatic_annotation, same)
        .where(revision.c.project == project, revision.c.kind == "annotation")
    )
    digests: dict[int, set[str]] = defaultdict(set)
    for row, digest in connection.execute(statement):
        if row in rows:
            digests[row].add(digest)
    asked, found = list(digests), set()
    for start in range(0, len(asked), CHUNK):
        drawn = sa.select(revision.c.id, revision.c.result).where(
            revision.c.id.in_(asked[start : start + CHUNK])
        )
        for row, result in connection.execute(drawn):
            if _digest(orjson.loads(result)) in digests[row]:
                found.add(row)
    return found


def _digest(result: Sequence[dict[str, Any]]) -> str:
    return hashlib.sha256(canonical(list(result))).hexdigest()
