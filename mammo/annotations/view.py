"""The current view of a history: a pure function, so events may arrive late, twice or in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mammo.annotations.events import Kind


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What the view needs to know of a revision: all but its heavy content."""

    row: int
    """Where the revision is kept; takes no part in what is chosen."""

    kind: Kind
    annotation: int | None
    task: int | None
    updated_at: datetime | None
    cancelled: bool
    content_hash: str
    prelabel_version: str | None


def current_view(history: Iterable[Heading]) -> list[Heading]:
    """The newest revision of each annotation that is neither deleted nor cancelled, by task and annotation.

    Label Studio never gives an id twice, so a deletion is final, also where it arrives before the creation.
    Revisions of one moment that differ (Label Studio sends none) are told apart by their content, not by arrival.
    """
    newest: dict[int, Heading] = {}
    gone_annotations: set[int | None] = set()
    gone_tasks: set[int | None] = set()
    for heading in history:
        if heading.kind == "annotation_deleted":
            gone_annotations.add(heading.annotation)
        elif heading.kind == "task_deleted":
            gone_tasks.add(heading.task)
        elif heading.annotation is not None:
            known = newest.get(heading.annotation)
            if known is None or _age(heading) > _age(known):
                newest[heading.annotation] = heading
    kept = (
        heading
        for heading in newest.values()
        if not heading.cancelled
        and heading.annotation not in gone_annotations
        and heading.task not in gone_tasks
    )
    return sorted(kept, key=lambda heading: (heading.task or 0, heading.annotation or 0))


def _age(heading: Heading) -> tuple[datetime, str, str]:
    assert heading.updated_at is not None
    return heading.updated_at, heading.content_hash, heading.prelabel_version or ""
