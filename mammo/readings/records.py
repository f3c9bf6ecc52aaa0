"""ReadingRecords: which projects are read twice, by which rules, and where the tasks for it are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, get_args

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.database import (
    double_reading,
    insert,
    reading,
    reading_agreement,
    reading_project,
    reading_task,
    writing,
)
from mammo.errors import ReadingConflict, UnknownReading
from mammo.readings.agreement import Agreement
from mammo.readings.rules import ReadingRules

Role = Literal["reader-1", "reader-2", "arbiter"]
ROLES: tuple[Role, ...] = get_args(Role)
READERS: tuple[Role, Role] = ("reader-1", "reader-2")
ARBITER: Role = "arbiter"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What one person reads in one round: a project, and its task for each case."""

    project: int
    tasks: Mapping[int, int] = field(default_factory=dict)
    """Case (the task of the source project) to the task here that shows the same image."""


@dataclass(frozen=True, kw_only=True)
class DoubleReading:
    """One project whose images are read twice."""

    source: int
    rules: ReadingRules
    users: Mapping[Role, int] = field(default_factory=dict)
    """Label Studio users by role. Whose role has none: whoever annotates in that project."""

    desks: Mapping[tuple[Role, int], Desk] = field(default_factory=dict)
    """By role and round, from 1; the arbiter's round is 1."""

    def desk(self, role: Role, number: int = 1) -> Desk | None:
        return self.desks.get((role, number))

    @property
    def projects(self) -> list[int]:
        """Those that were made for it."""
        return sorted(desk.project for desk in self.desks.values())


class ReadingRecords:
    """Reads and writes the tables of double readings."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, source: int, *, rules: ReadingRules, users: Mapping[Role, int]) -> DoubleReading:
        """Begin to read a project twice; a second time with the same rules and users changes nothing.

        Raises:
            ReadingConflict: it is read twice already, otherwise; or it was itself made for a double reading.
            StorageUnavailable: it is not kept.
        """
        wanted = DoubleReading(source=source, rules=rules, users=dict(users))
        row = {"source": source, "definition": _definition(wanted), "created_at": datetime.now(UTC)}
        with writing(self._engine) as connection:
            made_for = sa.select(reading_project.c.source).where(reading_project.c.project == source)
            if (other := connection.scalar(made_for)) is not None:
                raise ReadingConflict(
                    f"project {source} was made for the double reading of project {other}; name that one"
                )
            connection.execute(insert(connection, double_reading).values(row).on_conflict_do_nothing())
        kept = self.find(source)
        if (kept.rules, kept.users) != (wanted.rules, wanted.users):
            raise ReadingConflict(
                f"project {source} is read twice already, by other rules or readers; "
                "`yolo-mlsam reading rules` shows and changes its rules"
            )
        return kept

    def find(self, source: int) -> DoubleReading:
        """The double reading of a project.

        Raises:
            UnknownReading: it is not read twice.
        """
        found = self.find_any(source)
        if found is None:
            known = ", ".join(map(str, self.sources())) or "none"
            raise UnknownReading(
                f"project {source} is not read twice; those that are: {known}. Begin with `yolo-mlsam reading create`"
            )
        return found

    def find_any(self, source: int) -> DoubleReading | None:
        """The double reading of a project; None when it is not read twice."""
        with reading(self._engine) as connection:
            definition = connection.scalar(
                sa.select(double_reading.c.definition).where(double_reading.c.source == source)
            )
            if definition is None:
                return None
            kept = orjson.loads(definition)
            return DoubleReading(
                source=source,
                rules=ReadingRules.from_json(kept["rules"]),
                users={role: kept["users"][role] for role in ROLES if role in kept["users"]},
                desks=_desks(connection, source),
            )

    def sources(self) -> list[int]:
        """Every project that is read twice."""
        with reading(self._engine) as connection:
            return sorted(connection.scalars(sa.select(double_reading.c.source)))

    def projects(self) -> list[int]:
        """Every project that was made for a double reading."""
        with reading(self._engine) as connection:
            return sorted(connection.scalars(sa.select(reading_project.c.project)))

    def change(self, source: int, **rules: object) -> DoubleReading:
        """Change some rules; what was agreed on is then judged anew.

        Raises:
            UnknownReading: the project is not read twice.
            ValueError: rules that cannot be.
        """
        changed = self.find(source)
        changed = replace(changed, rules=replace(changed.rules, **rules))  # type: ignore[arg-type]
        mine = double_reading.c.source == source
        with writing(self._engine) as connection:
            connection.execute(sa.update(double_reading).where(mine).values(definition=_definition(changed)))
        return changed

    def record_project(self, source: int, role: Role, number: int, project: int) -> None:
        """Keep which project is whose; the first answer stays.

        Raises:
            ReadingConflict: another project is kept for this role and round.
        """
        row = {"source": source, "role": role, "round": number, "project": project}
        with writing(self._engine) as connection:
            connection.execute(insert(connection, reading_project).values(row).on_conflict_do_nothing())
            kept = _desks(connection, source).get((role, number))
        if kept is None or kept.project != project:
            raise ReadingConflict(
                f"project {project} cannot be the {role}'s in round {number}: it has another part"
            )

    def record_tasks(self, project: int, tasks: Mapping[int, int]) -> None:
        """Keep which task shows which case: exactly these, for this project."""
        rows = [{"project": project, "case": case, "task": task} for case, task in tasks.items()]
        with writing(self._engine) as connection:
            connection.execute(sa.delete(reading_task).where(reading_task.c.project == project))
            if rows:
                connection.execute(sa.insert(reading_task), rows)

    def agreement(self, first: str, second: str, *, by: str, judge: Callable[[], Agreement]) -> Agreement:
        """The agreement of two readings, computed once.

        Args:
            first, second: content hashes of the two annotations.
            by: digest of all that the judgement depends on besides.
            judge: computes it.
        """
        key = {"first": first, "second": second, "rules": by}
        mine = sa.and_(*(reading_agreement.c[name] == value for name, value in key.items()))
        with reading(self._engine) as connection:
            kept = connection.scalar(sa.select(reading_agreement.c.detail).where(mine))
        if kept is not None:
            return Agreement.from_json(orjson.loads(kept))
        found = judge()
        row = {**key, "detail": orjson.dumps(found.to_json())}
        with writing(self._engine) as connection:
            connection.execute(insert(connection, reading_agreement).values(row).on_conflict_do_nothing())
        return found


def _definition(kept: DoubleReading) -> bytes:
    return orjson.dumps(
        {"rules": kept.rules.to_json(), "users": dict(kept.users)}, option=orjson.OPT_SORT_KEYS
    )


def _desks(connection: Connection, source: int) -> dict[tuple[Role, int], Desk]:
    mine = sa.select(reading_project).where(reading_project.c.source == source)
    desks = {}
    for row in connection.execute(mine).all():
        tasks = sa.select(reading_task.c.case, reading_task.c.task).where(
            reading_task.c.project == row.project
        )
        held = {each.case: each.task for each in connection.execute(tasks)}
        desks[row.role, row.round] = Desk(project=row.project, tasks=held)
    return desks
