"""What a correction was made on, and the few statements that tell it for a whole project.

Contents are heavy, and most were looked at before: here a correction is without its regions, a prelabel too.
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


class CorrectionOutline(NamedTuple):
    """A correction without its content; see `mammo.annotations.store.Correction`."""

    revision: int
    annotation_id: int
    task_id: int
    updated_at: datetime
    begun: datetime
    """The moment of the annotation's first revision."""

    completed_by: int | None
    lead_time: float | None
    prelabel_version: str | None


class Proposal(NamedTuple):
    """A prelabel without its regions; see `mammo.annotations.prelabels.Prelabel`."""

    id: int
    model_version: str
    score: float
    created_at: datetime
    shown_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Champions:
    """Which version served when, for as long as the registry remembers."""

    moves: Sequence[tuple[datetime, str]]
    """In their order."""

    def at(self, moment: datetime) -> str | None:
        """The version that served at a moment; None before the first."""
        return next((version for moved, version in reversed(self.moves) if moved <= moment), None)


def shown_proposal(proposals: Sequence[Proposal], *, told: str | None, begun: datetime) -> Proposal | None:
    """The prelabel that a correction was made on, as far as is known.

    The one whose version Label Studio told, or else the newest that was shown before the first revision.

    Args:
        proposals: of the correction's task.
    """
    named = [each for each in proposals if told and each.model_version == told]
    before = [each for each in proposals if each.shown_at is not None and each.shown_at < begun]
    return max(named or before, key=_age, default=None)


def silent_proposal(
    proposals: Sequence[Proposal], *, begun: datetime, champions: Champions
) -> Proposal | None:
    """A proposal made before the first revision that nobody had seen then: what the control is compared with.

    The champion's of that moment, if it made one, else the newest: a shadow may have spoken too. One made later does
    not count: its model may have learned from the very annotation.
    """
    unseen = [
        each
        for each in proposals
        if each.created_at < begun and (each.shown_at is None or each.shown_at >= begun)
    ]
    served = champions.at(begun) if unseen else None
    return max(unseen, key=lambda each: (each.model_version == served, *_age(each)), default=None)


def proposals_by_task(
    connection: Connection, project: int, *, task: int | None = None
) -> Iterator[tuple[int, list[Proposal]]]:
    """Every proposal of a project, or of one of its tasks: task by task, in their order."""
    columns = prelabel.c
    proposal = (columns.id, columns.model_version, columns.score, columns.created_at, columns.shown_at)
    statement = sa.select(columns.task, *proposal).where(columns.project == project).order_by(columns.task)
    if task is not None:
        statement = statement.where(columns.task == task)
    # One task at a time: objects that are kept are what Python's search for garbage turns over again and again.
    for number, rows in groupby(connection.execute(statement), key=itemgetter(0)):
        yield number, [Proposal(*proposed) for _, *proposed in rows]


def champions(connection: Connection) -> Champions:
    columns = promotion.c
    statement = sa.select(columns.at, columns.version).where(columns.alias == "champion").order_by(columns.id)
    return Champions(moves=[(moved, version) for moved, version in connection.execute(statement)])


def _age(proposal: Proposal) -> tuple[datetime, int]:
    return proposal.created_at, proposal.id
