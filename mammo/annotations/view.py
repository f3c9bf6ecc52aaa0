"""The current view of a history: a pure function, so events may arrive late, twice or in any order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mammo.annotations.events import Kind

NEVER = datetime.min.replace(tzinfo=UTC)


class Heading(NamedTuple):
    """What the view needs to know of a revision: all but its heavy content. A tuple, as there are many."""

    row: int
    """Where the revision is kept; takes no part in what is chosen."""

    kind: Kind
    annotation: int | None
    task: int | None
    updated_at: datetime | None
    cancelled: bool
    content_hash: str
    prelabel_version: str | None
    moment: datetime
    """Of an annotation: when it is known to have been there. Of a deletion: when we were told."""


def current_view(history: Iterable[Heading]) -> list[Heading]:
    """The newest revision of each annotation that is neither deleted nor cancelled, by task and annotation."""
    return [heading for heading in living(history) if not heading.cancelled]


def living(history: Iterable[Heading]) -> list[Heading]:
    """The newest revision of each annotation that is there, skipped ones included, by task and annotation.

    A deletion takes what was there before it. It is not final: on SQLite, Label Studio's import numbers tasks and
    annotations from the highest id that is left, so the id of a deleted one may come again. Revisions of one moment
    that differ (Label Studio sends none) are told apart by their content, not by arrival.
    """
    newest: dict[int, Heading] = {}
    seen: dict[int, datetime] = {}
    gone_annotations: dict[int | None, datetime] = {}
    gone_tasks: dict[int | None, datetime] = {}
    for heading in history:
        if heading.kind == "annotation_deleted":
            _latest(gone_annotations, heading.annotation, heading.moment)
        elif heading.kind == "task_deleted":
            _latest(gone_tasks, heading.task, heading.moment)
        elif heading.annotation is not None:
            _latest(seen, heading.annotation, heading.moment)
            known = newest.get(heading.annotation)
            if known is None or _age(heading) > _age(known):
                newest[heading.annotation] = heading
    kept = (
        heading
        for number, heading in newest.items()
        if seen[number] > max(gone_annotations.get(number, NEVER), gone_tasks.get(heading.task, NEVER))
    )
    return sorted(kept, key=lambda heading: (heading.task or 0, heading.annotation or 0))


def _latest(known: dict[Any, datetime], key: int | None, moment: datetime) -> None:
    known[key] = max(known.get(key, NEVER), moment)


def _age(heading: Heading) -> tuple[datetime, str, str]:
    assert heading.updated_at is not None
    return heading.updated_at, heading.content_hash, heading.prelabel_version or ""
