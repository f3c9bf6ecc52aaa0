"""Work order: which unread task comes next, planned for a whole project, and written down for each task.

random   detector-positive stratified random sampling: tasks in which the model finds something and tasks in which it
         finds nothing are each in random order, and are dealt out at a fixed ratio. Every task's chance is known,
         so what is measured on the first tasks can be weighted to stand for all. The honest baseline.
score    the least certain prediction first (active learning). What is read first is chosen by the model, so what is
         measured on it says little about the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.blinding import lot
from mammo.database import reading, task_order, writing

Strategy = Literal["random", "score"]
Stratum = Literal["positive", "negative", "unknown"]

UNORDERED = "none"
"""Strategy of a task that nobody planned."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A task that nobody has read."""

    task: int
    stratum: Stratum
    """Whether the model finds something, shown or silent; `unknown` where it has not looked."""

    score: float | None = None
    model_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A task's place in the order."""

    task: int
    strategy: Strategy
    rank: int
    """0 comes first."""

    stratum: Stratum
    weight: float
    """Tasks of its stratum per task that was dealt out, over those ranked so far: 1 / its chance to be among them."""

    score: float | None
    model_version: str | None


def planned(
    candidates: Iterable[Candidate], strategy: Strategy, *, project: int, positive_share: float, limit: int
) -> list[Place]:
    """The first tasks of the order.

    Args:
        positive_share: of the tasks dealt out by `random`, while there are both; in (0, 1).
        limit: most places.
    """
    everyone = sorted(candidates, key=lambda each: (lot("order", project, str(each.task)), each.task))
    if strategy == "score":
        unsure = sorted(everyone, key=lambda each: -1.0 if each.score is None else each.score)
        return [_place(each, strategy, rank, 1.0) for rank, each in enumerate(unsure[:limit])]
    found = [each for each in everyone if each.stratum == "positive"]
    rest = [each for each in everyone if each.stratum != "positive"]
    dealt = _dealt(found, rest, positive_share)[:limit]
    positives = sum(each.stratum == "positive" for each in dealt)
    weights = {
        True: len(found) / positives if positives else 1.0,
        False: len(rest) / (len(dealt) - positives) if len(dealt) > positives else 1.0,
    }
    return [
        _place(each, strategy, rank, round(weights[each.stratum == "positive"], 6))
        for rank, each in enumerate(dealt)
    ]


def record_order(engine: Engine, project: int, places: Sequence[Place]) -> None:
    """Write down the places of a plan; a place that is the task's last one already is not written again."""
    now = datetime.now(UTC)
    known = {
        task: (row.strategy, row.rank, row.stratum, row.weight, row.score, row.model_version)
        for task, row in _newest(engine, project).items()
    }
    rows = [
        {"project": project, "at": now, **vars(place)}
        for place in places
        if known.get(place.task)
        != (place.strategy, place.rank, place.stratum, place.weight, place.score, place.model_version)
    ]
    if rows:
        with writing(engine) as connection:
            connection.execute(sa.insert(task_order), rows)


def places(engine: Engine, project: int) -> list[Place]:
    """The place that each task was given last, by task."""
    return [
        Place(
            task=task,
            strategy=row.strategy,
            rank=row.rank,
            stratum=row.stratum,
            weight=row.weight,
            score=row.score,
            model_version=row.model_version,
        )
        for task, row in sorted(_newest(engine, project).items())
    ]


def strategies(engine: Engine, project: int) -> dict[int, str]:
    """The strategy that each task's place was planned by, the newest plan that has it."""
    columns = task_order.c
    statement = (
        sa.select(columns.task, columns.strategy).where(columns.project == project).order_by(columns.id)
    )
    with reading(engine) as connection:
        return {row.task: row.strategy for row in connection.execute(statement)}


def _newest(engine: Engine, project: int) -> dict[int, sa.Row[Any]]:
    statement = sa.select(task_order).where(task_order.c.project == project).order_by(task_order.c.id)
    with reading(engine) as connection:
        return {row.task: row for row in connection.execute(statement)}


def _dealt(found: Sequence[Candidate], rest: Sequence[Candidate], share: float) -> list[Candidate]:
    """Both in their own order, `found` at its share as exactly as whole tasks allow; at the end what is left."""
    dealt: list[Candidate] = []
    taken = 0
    for turn in count(1):
        if taken == len(found) or turn - 1 - taken == len(rest):
            return [*dealt, *found[taken:], *rest[turn - 1 - taken :]]
        if taken + 1 <= share * turn + 0.5:
            dealt.append(found[taken])
            taken += 1
        else:
            dealt.append(rest[turn - 1 - taken])
    raise AssertionError("a count has no end")


def _place(candidate: Candidate, strategy: Strategy, rank: int, weight: float) -> Place:
    return Place(
        task=candidate.task,
        strategy=strategy,
        rank=rank,
        stratum=candidate.stratum,
        weight=weight,
        score=candidate.score,
        model_version=candidate.model_version,
    )
