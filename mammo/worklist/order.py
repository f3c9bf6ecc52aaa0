"""Reading order: the order in which a project's unread tasks are read, planned at once and recorded per task.

random   stratified random sampling: tasks with and without findings of the model are each in random order and are
         interleaved at a fixed ratio. Every task's inclusion probability is known, so figures measured on the first
         tasks can be weighted to represent all tasks. The unbiased baseline.
score    least certain prediction first (active learning). The model selects the tasks, so figures measured on the
         first ones do not represent the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.blinding import uniform_hash
from mammo.database import reading, task_order, writing

Strategy = Literal["random", "score"]
Stratum = Literal["positive", "negative", "unknown"]

UNORDERED = "none"
"""Strategy of a task without a place in the order."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An unread task."""

    task: int
    stratum: Stratum
    """Whether the model's prelabel, shown or silent, has findings; `unknown` without a prelabel."""

    score: float | None = None
    model_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A task's place in the reading order."""

    task: int
    strategy: Strategy
    rank: int
    """Position, from 0."""

    stratum: Stratum
    weight: float
    """Sampling weight: tasks of the stratum per placed task of it, 1 / inclusion probability."""

    score: float | None
    model_version: str | None


def planned(
    candidates: Iterable[Candidate], strategy: Strategy, *, project: int, positive_share: float, limit: int
) -> list[Place]:
    """Return the first places of the reading order.

    Args:
        positive_share: Share of positive tasks in the order of `random`, as long as there are both kinds; in (0, 1).
        limit: Largest number of places.
    """
    shuffled = sorted(
        candidates, key=lambda each: (uniform_hash("order", project, str(each.task)), each.task)
    )
    if strategy == "score":
        by_score = sorted(shuffled, key=lambda each: -1.0 if each.score is None else each.score)
        return [_place(each, strategy, rank, 1.0) for rank, each in enumerate(by_score[:limit])]
    positives = [each for each in shuffled if each.stratum == "positive"]
    others = [each for each in shuffled if each.stratum != "positive"]
    order = _interleave(positives, others, positive_share)[:limit]
    num_positive = sum(each.stratum == "positive" for each in order)
    weights = {
        True: len(positives) / num_positive if num_positive else 1.0,
        False: len(others) / (len(order) - num_positive) if len(order) > num_positive else 1.0,
    }
    return [
        _place(each, strategy, rank, round(weights[each.stratum == "positive"], 6))
        for rank, each in enumerate(order)
    ]


def record_order(engine: Engine, project: int, places: Sequence[Place]) -> None:
    """Record the places of a plan; a place equal to the task's last recorded one is not recorded again."""
    now = datetime.now(UTC)
    recorded = {
        task: (row.strategy, row.rank, row.stratum, row.weight, row.score, row.model_version)
        for task, row in _newest(engine, project).items()
    }
    rows = [
        {"project": project, "at": now, **vars(place)}
        for place in places
        if recorded.get(place.task)
        != (place.strategy, place.rank, place.stratum, place.weight, place.score, place.model_version)
    ]
    if rows:
        with writing(engine) as connection:
            connection.execute(sa.insert(task_order), rows)


def places(engine: Engine, project: int) -> list[Place]:
    """Return the last recorded place of each task, by task."""
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
    """Return the strategy of each task's last recorded place."""
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


def _interleave(positives: Sequence[Candidate], others: Sequence[Candidate], share: float) -> list[Candidate]:
    """Merge two sequences, `positives` at its share as exactly as whole tasks allow; the remainder comes last."""
    merged: list[Candidate] = []
    num_positive = num_other = 0
    while num_positive < len(positives) and num_other < len(others):
        if num_positive + 1 <= share * (len(merged) + 1) + 0.5:
            merged.append(positives[num_positive])
            num_positive += 1
        else:
            merged.append(others[num_other])
            num_other += 1
    return [*merged, *positives[num_positive:], *others[num_other:]]


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
