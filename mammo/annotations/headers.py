"""Corrections and prelabels without their content, and the prelabel that a correction is compared with.

Regions are large and most have been measured before, so these records leave them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.database import prelabel, promotion


class CorrectionHeader(NamedTuple):
    """A correction without its content; see `mammo.annotations.store.Correction`."""

    revision: int
    """Row id of its newest revision."""

    annotation_id: int
    task_id: int
    updated_at: datetime
    first_updated_at: datetime
    """`updated_at` of the annotation's earliest revision."""

    completed_by: int | None
    lead_time: float | None
    prelabel_version: str | None


class PrelabelHeader(NamedTuple):
    """A prelabel without its regions; see `mammo.annotations.prelabels.Prelabel`."""

    id: int
    model_version: str
    score: float
    created_at: datetime
    shown_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ChampionHistory:
    """Which model version was champion at which time."""

    moves: Sequence[tuple[datetime, str]]
    """Time and version of each change of the champion, oldest first."""

    def at(self, time: datetime) -> str | None:
        """Return the champion at a time; None before the first."""
        return next((version for moved, version in reversed(self.moves) if moved <= time), None)


def shown_prelabel(
    prelabels: Sequence[PrelabelHeader], *, reported_version: str | None, first_updated_at: datetime
) -> PrelabelHeader | None:
    """Return the prelabel that a correction started from; None if none is known.

    It is the one with the version that Label Studio reports, or else the newest shown before the first revision.

    Args:
        prelabels: Prelabels of the correction's task.
        reported_version: `CorrectionHeader.prelabel_version`.
        first_updated_at: `CorrectionHeader.first_updated_at`.
    """
    reported = [each for each in prelabels if reported_version and each.model_version == reported_version]
    shown = [each for each in prelabels if each.shown_at is not None and each.shown_at < first_updated_at]
    return max(reported or shown, key=_age, default=None)


def silent_prelabel(
    prelabels: Sequence[PrelabelHeader], *, first_updated_at: datetime, champions: ChampionHistory
) -> PrelabelHeader | None:
    """Return the silent prelabel that a correction of the control arm is compared with; None if there is none.

    It was created before the first revision and had not been shown by then; a later one does not count, because its
    model may have been trained on this annotation. The prelabel of the champion at that time comes first, then the
    newest, which may be a shadow model's.
    """
    silent = [
        each
        for each in prelabels
        if each.created_at < first_updated_at and (each.shown_at is None or each.shown_at >= first_updated_at)
    ]
    champion = champions.at(first_updated_at) if silent else None
    return max(silent, key=lambda each: (each.model_version == champion, *_age(each)), default=None)


def prelabel_headers_by_task(
    connection: Connection, project: int, *, task: int | None = None
) -> Iterator[tuple[int, list[PrelabelHeader]]]:
    """Yield the prelabels of a project, or of one of its tasks, task by task in ascending order."""
    columns = prelabel.c
    header = (columns.id, columns.model_version, columns.score, columns.created_at, columns.shown_at)
    statement = sa.select(columns.task, *header).where(columns.project == project).order_by(columns.task)
    if task is not None:
        statement = statement.where(columns.task == task)
    # One task at a time: Python's garbage collector scans objects that live on again and again.
    for task_id, rows in groupby(connection.execute(statement), key=itemgetter(0)):
        yield task_id, [PrelabelHeader(*values) for _, *values in rows]


def champion_history(connection: Connection) -> ChampionHistory:
    """Read the changes of the champion from the registry's promotions."""
    columns = promotion.c
    statement = sa.select(columns.at, columns.version).where(columns.alias == "champion").order_by(columns.id)
    return ChampionHistory(moves=[(moved, version) for moved, version in connection.execute(statement)])


def _age(header: PrelabelHeader) -> tuple[datetime, int]:
    return header.created_at, header.id
