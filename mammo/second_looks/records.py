"""DoubtRecords: the doubted labels of all projects. A doubt that was sent back is never changed but for its answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.audit.trail import append
from mammo.database import event, label_doubt, label_search, reading, revision, writing
from mammo.geometry import Box
from mammo.second_looks.doubt import Answer, LabelDoubt, StoredDoubt

MARGIN = 20
"""Doubts about the same place differ by at most so many pixels of a corner; such a doubt is not raised twice."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The answer to a doubt."""

    doubt: int
    answer: Answer
    revision: int
    """Row id of the revision that is the answer."""


class DoubtRecords:
    """The table of doubted labels."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def replace(self, project: int, doubts: Sequence[LabelDoubt], *, search: Mapping[str, Any]) -> int:
        """Replace the open doubts of a project.

        A doubt that was sent back before, about the same revision and place, is not raised again.

        Args:
            search: how they were found, as JSON values; `newest_search` returns it.

        Returns:
            Number of open doubts.
        """
        now, columns = datetime.now(UTC), label_doubt.c
        sent = sa.select(label_doubt).where(columns.project == project, columns.sent_at.is_not(None))
        with writing(self._engine) as connection:
            asked: dict[tuple[int, str, str], list[StoredDoubt]] = {}
            for row in connection.execute(sent):
                asked.setdefault((row.revision, row.image, row.cause), []).append(_stored(row, None))
            connection.execute(
                sa.delete(label_doubt).where(columns.project == project, columns.sent_at.is_(None))
            )
            new = [
                each
                for each in doubts
                if not any(
                    _is_near(each.box, other.box)
                    for other in asked.get((each.revision, each.image, each.cause), ())
                )
            ]
            if new:
                connection.execute(
                    sa.insert(label_doubt), [{"project": project, "found_at": now, **_row(x)} for x in new]
                )
            connection.execute(sa.delete(label_search).where(label_search.c.project == project))
            values = {"project": project, "content": orjson.dumps(search), "at": now}
            connection.execute(sa.insert(label_search).values(values))
        return len(new)

    def newest_search(self, project: int) -> dict[str, Any] | None:
        """Return how the open doubts of a project were found, with `at` (ISO, UTC); None before the first search."""
        statement = sa.select(label_search).where(label_search.c.project == project)
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            return None
        return {**orjson.loads(row.content), "at": row.at.isoformat(timespec="seconds")}

    def ranked(self, project: int, *, limit: int, is_open: bool) -> list[StoredDoubt]:
        """Return the first doubts of a project: the open ones, strongest first, or those sent back, newest first."""
        columns = label_doubt.c
        if is_open:
            wanted, order = columns.sent_at.is_(None), [columns.score.desc(), columns.task, columns.id]
        else:
            wanted, order = columns.sent_at.is_not(None), [columns.sent_at.desc(), columns.id]
        return self._select(columns.project == project, wanted, order=order, limit=limit)

    def counts(self, project: int) -> dict[tuple[str, bool, str | None], int]:
        """Return the number of doubts by cause, whether they were sent back, and answer."""
        columns = label_doubt.c
        keys = (columns.cause, columns.sent_at.is_not(None), columns.answer)
        statement = sa.select(*keys, sa.func.count()).where(columns.project == project).group_by(*keys)
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        return {(cause, bool(sent), answer): count for cause, sent, answer, count in rows}

    def answered(self, project: int) -> list[StoredDoubt]:
        """Return the doubts of a project that were answered."""
        columns = label_doubt.c
        return self._select(columns.project == project, columns.answer.is_not(None), order=[columns.id])

    def waiting(self, project: int) -> list[StoredDoubt]:
        """Return the doubts of a project that were sent back and have no answer yet."""
        columns = label_doubt.c
        unanswered = columns.sent_at.is_not(None) & columns.answer.is_(None)
        return self._select(columns.project == project, unanswered, order=[columns.id])

    def of_annotation(self, annotation: int) -> list[StoredDoubt]:
        """Return the doubts about an annotation that were sent back."""
        columns = label_doubt.c
        sent = columns.sent_at.is_not(None)
        return self._select(columns.annotation == annotation, sent, order=[columns.id])

    def mark_sent(self, project: int, doubts: Collection[int], *, actor: str) -> None:
        """Record that doubts were sent back."""
        now, columns = datetime.now(UTC), label_doubt.c
        with writing(self._engine) as connection:
            newest = connection.scalar(sa.select(sa.func.max(event.c.id))) or 0
            connection.execute(
                sa.update(label_doubt)
                .where(columns.id.in_(list(doubts)), columns.sent_at.is_(None))
                .values(sent_at=now, sent_by=actor, sent_event=newest)
            )
            append(
                connection,
                actor=actor,
                action="labels sent back",
                subject=f"project {project}",
                reason=f"{len(doubts)} doubted labels",
            )

    def settle(self, answers: Sequence[Settled]) -> None:
        """Record answers; a doubt is answered once."""
        now, columns = datetime.now(UTC), label_doubt.c
        with writing(self._engine) as connection:
            for each in answers:
                connection.execute(
                    sa.update(label_doubt)
                    .where(columns.id == each.doubt, columns.answer.is_(None))
                    .values(answer=each.answer, answer_revision=each.revision, answered_at=now)
                )

    def newer_revisions(self, doubts: Sequence[StoredDoubt]) -> dict[int, int]:
        """Return, by doubt, the newest revision of its annotation that arrived after it was sent back."""
        found: dict[int, int] = {}
        with reading(self._engine) as connection:
            for doubt in doubts:
                newest = sa.select(sa.func.max(revision.c.id)).where(
                    revision.c.annotation == doubt.annotation, revision.c.event > (doubt.sent_event or 0)
                )
                if (row := connection.scalar(newest)) is not None:
                    found[doubt.id] = row
        return found

    def _select(
        self, *where: sa.ColumnElement[bool], order: Sequence[Any], limit: int | None = None
    ) -> list[StoredDoubt]:
        statement = (
            sa.select(label_doubt, revision.c.completed_by)
            .join(revision, revision.c.id == label_doubt.c.revision)
            .where(*where)
            .order_by(*order)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return [_stored(row, row.completed_by) for row in connection.execute(statement)]


def _is_near(new: Box | None, old: Box | None) -> bool:
    if new is None or old is None:
        return new is old
    corners = zip(new.as_tuple(), old.as_tuple(), strict=True)
    return all(abs(one - other) <= MARGIN for one, other in corners)


def _row(doubt: LabelDoubt) -> dict[str, Any]:
    corners = doubt.box.as_tuple() if doubt.box else (None,) * 4
    return {
        "task": doubt.task,
        "annotation": doubt.annotation,
        "image": doubt.image,
        "revision": doubt.revision,
        "cause": doubt.cause,
        "score": doubt.score,
        "distance_mm": doubt.distance_mm,
        "model_version": doubt.model_version,
        **dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True)),
    }


def _stored(row: Any, user: int | None) -> StoredDoubt:
    return StoredDoubt(
        id=row.id,
        project=row.project,
        task=row.task,
        annotation=row.annotation,
        image=row.image,
        revision=row.revision,
        cause=row.cause,
        score=row.score,
        box=None if row.x0 is None else Box(row.x0, row.y0, row.x1, row.y1),
        distance_mm=row.distance_mm,
        model_version=row.model_version,
        user=user,
        found_at=row.found_at,
        sent_at=row.sent_at,
        sent_event=row.sent_event,
        answer=row.answer,
        answered_at=row.answered_at,
    )
