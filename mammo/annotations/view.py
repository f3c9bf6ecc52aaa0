"""The current view of a history of revisions: a pure function, so events may arrive late, twice or in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from mammo.annotations.events import RevisionKind

NEVER = datetime.min.replace(tzinfo=UTC)

OVERTAKING = timedelta(minutes=1)
"""A save that is received so soon after a deletion may have been made before it, if the time of the deletion is
unknown: Label Studio sends each webhook once, and waits for a second."""


class RevisionHeader(NamedTuple):
    """A revision without its content: all that the view depends on. A tuple, because there are many."""

    row: int
    """Row id; it does not influence the view."""

    kind: RevisionKind
    annotation: int | None
    task: int | None
    updated_at: datetime | None
    """By Label Studio's clock. Deletion: see `deletion_times`; None: unknown."""

    cancelled: bool
    content_hash: str
    prelabel_version: str | None
    received_at: datetime
    """By our clock: when the event was received; of a reconciliation, when Label Studio was asked."""

    reconciled: bool = False
    """A reconciliation found the annotation in Label Studio; otherwise a webhook reported its save or the deletion."""


def current_view(history: Iterable[RevisionHeader]) -> list[RevisionHeader]:
    """Return the newest revision of each annotation that is neither deleted nor cancelled, by task and annotation."""
    return [header for header in existing_annotations(history) if not header.cancelled]


def existing_annotations(history: Iterable[RevisionHeader]) -> list[RevisionHeader]:
    """Return the newest revision of each annotation that is not deleted, skipped ones included, by task and annotation.

    A deletion removes what existed before it. It is not final: on SQLite, Label Studio's import numbers tasks and
    annotations from the highest remaining id, so the id of a deleted one may be reused. Two different revisions with
    the same `updated_at` (Label Studio sends none) are ordered by their content, not by arrival.
    """
    newest: dict[int, RevisionHeader] = {}
    last_seen: dict[int, _LastSeen] = {}
    deleted_annotations: dict[int | None, list[RevisionHeader]] = {}
    deleted_tasks: dict[int | None, list[RevisionHeader]] = {}
    for header in history:
        if header.kind == "annotation_deleted":
            deleted_annotations.setdefault(header.annotation, []).append(header)
        elif header.kind == "task_deleted":
            deleted_tasks.setdefault(header.task, []).append(header)
        elif header.annotation is not None:
            last_seen.setdefault(header.annotation, _LastSeen()).add(header)
            best = newest.get(header.annotation)
            if best is None or _age(header) > _age(best):
                newest[header.annotation] = header
    existing = (
        header
        for annotation, header in newest.items()
        if all(
            last_seen[annotation].outlives(deletion)
            for deletion in (*deleted_annotations.get(annotation, ()), *deleted_tasks.get(header.task, ()))
        )
    )
    return sorted(existing, key=lambda header: (header.task or 0, header.annotation or 0))


@dataclass(slots=True)
class _LastSeen:
    """The newest proofs that an annotation existed. Times of Label Studio's clock and of ours are never compared."""

    saved: datetime = NEVER
    """Label Studio's time of the last save that a webhook reported."""

    received: datetime = NEVER
    """Our time at which the last webhook of a save was received."""

    reconciled: datetime = NEVER
    """Our time at which a reconciliation last found it."""

    def add(self, header: RevisionHeader) -> None:
        assert header.updated_at is not None
        if header.reconciled:
            self.reconciled = max(self.reconciled, header.received_at)
        else:
            self.saved = max(self.saved, header.updated_at)
            self.received = max(self.received, header.received_at)

    def outlives(self, deletion: RevisionHeader) -> bool:
        """Whether the annotation existed after a deletion, so that its id was reused."""
        if self.reconciled > deletion.received_at:
            return True
        if deletion.updated_at is not None:
            return self.saved > deletion.updated_at
        return self.received > deletion.received_at + OVERTAKING


def _age(header: RevisionHeader) -> tuple[datetime, str, str]:
    assert header.updated_at is not None
    return header.updated_at, header.content_hash, header.prelabel_version or ""
