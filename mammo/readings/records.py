"""ReadingRecords: the database's record of double readings, their rules, projects and tasks."""

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
class ReaderProject:
    """The Label Studio project in which one person reads in one round."""

    id: int
    """Project id."""

    tasks: Mapping[int, int] = field(default_factory=dict)
    """Task of this project by case (the task of the source project that shows the same image)."""


@dataclass(frozen=True, kw_only=True)
class DoubleReading:
    """A source project whose images are read twice."""

    source: int
    """Project id."""

    rules: ReadingRules
    users: Mapping[Role, int] = field(default_factory=dict)
    """Label Studio user id by role. For a role without a user, annotations of any user count."""

    projects: Mapping[tuple[Role, int], ReaderProject] = field(default_factory=dict)
    """Reader projects by role and round, from 1; the arbiter has round 1 only."""

    def project(self, role: Role, round_number: int = 1) -> ReaderProject | None:
        """Return the reader project of a role and round; None if it has not been created."""
        return self.projects.get((role, round_number))

    @property
    def project_ids(self) -> list[int]:
        """Ids of all reader projects, sorted."""
        return sorted(project.id for project in self.projects.values())


class ReadingRecords:
    """Reads and writes the tables of double readings."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, source: int, *, rules: ReadingRules, users: Mapping[Role, int]) -> DoubleReading:
        """Record a double reading; repeating the call with the same rules and users changes nothing.

        Raises:
            ReadingConflict: The project has a double reading with other rules or users, or is a reader project itself.
            StorageUnavailable: The double reading was not stored.
        """
        requested = DoubleReading(source=source, rules=rules, users=dict(users))
        row = {"source": source, "definition": _definition(requested), "created_at": datetime.now(UTC)}
        with writing(self._engine) as connection:
            parent = sa.select(reading_project.c.source).where(reading_project.c.project == source)
            if (other := connection.scalar(parent)) is not None:
                raise ReadingConflict(
                    f"project {source} is a reader project of the double reading of project {other}; "
                    f"name project {other}"
                )
            connection.execute(insert(connection, double_reading).values(row).on_conflict_do_nothing())
        stored = self.find(source)
        if (stored.rules, stored.users) != (requested.rules, requested.users):
            raise ReadingConflict(
                f"project {source} already has a double reading with other rules or readers; "
                "`yolo-mlsam reading rules` shows and changes its rules"
            )
        return stored

    def find(self, source: int) -> DoubleReading:
        """Return the double reading of a project.

        Raises:
            UnknownReading: The project has no double reading.
        """
        stored = self.find_or_none(source)
        if stored is None:
            sources = ", ".join(map(str, self.sources())) or "none"
            raise UnknownReading(
                f"project {source} has no double reading; projects that have one: {sources}. "
                "Create one with `yolo-mlsam reading create`"
            )
        return stored

    def find_or_none(self, source: int) -> DoubleReading | None:
        """Return the double reading of a project; None if it has none."""
        with reading(self._engine) as connection:
            definition = connection.scalar(
                sa.select(double_reading.c.definition).where(double_reading.c.source == source)
            )
            if definition is None:
                return None
            stored = orjson.loads(definition)
            return DoubleReading(
                source=source,
                rules=ReadingRules.from_json(stored["rules"]),
                users={role: stored["users"][role] for role in ROLES if role in stored["users"]},
                projects=_reader_projects(connection, source),
            )

    def sources(self) -> list[int]:
        """Return the ids of all projects that have a double reading."""
        with reading(self._engine) as connection:
            return sorted(connection.scalars(sa.select(double_reading.c.source)))

    def projects(self) -> list[int]:
        """Return the ids of the reader projects of all double readings."""
        with reading(self._engine) as connection:
            return sorted(connection.scalars(sa.select(reading_project.c.project)))

    def change_rules(self, source: int, **rules: object) -> DoubleReading:
        """Change the named rules; agreements are then computed anew.

        Raises:
            UnknownReading: The project has no double reading.
            ValueError: A rule is out of range.
        """
        current = self.find(source)
        changed = replace(current, rules=replace(current.rules, **rules))  # type: ignore[arg-type]
        row = double_reading.c.source == source
        with writing(self._engine) as connection:
            connection.execute(sa.update(double_reading).where(row).values(definition=_definition(changed)))
        return changed

    def record_project(self, source: int, role: Role, round_number: int, project: int) -> None:
        """Record the reader project of a role and round; repeating the call changes nothing.

        Raises:
            ReadingConflict: Another project is recorded for this role and round, or the project for another role.
        """
        row = {"source": source, "role": role, "round": round_number, "project": project}
        with writing(self._engine) as connection:
            connection.execute(insert(connection, reading_project).values(row).on_conflict_do_nothing())
            stored = _reader_projects(connection, source).get((role, round_number))
        if stored is None or stored.id != project:
            raise ReadingConflict(
                f"project {project} cannot be the project of {role} in round {round_number}: "
                "it has another role, or the role has another project"
            )

    def record_tasks(self, project: int, tasks: Mapping[int, int]) -> None:
        """Replace the recorded tasks of a reader project.

        Args:
            tasks: Task by case.
        """
        rows = [{"project": project, "case": case, "task": task} for case, task in tasks.items()]
        with writing(self._engine) as connection:
            connection.execute(sa.delete(reading_task).where(reading_task.c.project == project))
            if rows:
                connection.execute(sa.insert(reading_task), rows)

    def agreement(
        self, first: str, second: str, *, digest: str, compute: Callable[[], Agreement]
    ) -> Agreement:
        """Return the agreement of two readings; compute and store it on the first call.

        Args:
            first: Content hash of the first reader's annotation.
            second: Content hash of the second reader's annotation.
            digest: Digest of everything else that the agreement depends on.
            compute: Computes the agreement.
        """
        key = {"first": first, "second": second, "rules": digest}
        condition = sa.and_(*(reading_agreement.c[name] == value for name, value in key.items()))
        with reading(self._engine) as connection:
            stored = connection.scalar(sa.select(reading_agreement.c.detail).where(condition))
        if stored is not None:
            return Agreement.from_json(orjson.loads(stored))
        agreement = compute()
        row = {**key, "detail": orjson.dumps(agreement.to_json())}
        with writing(self._engine) as connection:
            connection.execute(insert(connection, reading_agreement).values(row).on_conflict_do_nothing())
        return agreement


def _definition(double: DoubleReading) -> bytes:
    return orjson.dumps(
        {"rules": double.rules.to_json(), "users": dict(double.users)}, option=orjson.OPT_SORT_KEYS
    )


def _reader_projects(connection: Connection, source: int) -> dict[tuple[Role, int], ReaderProject]:
    statement = sa.select(reading_project).where(reading_project.c.source == source)
    projects = {}
    for row in connection.execute(statement).all():
        tasks = sa.select(reading_task.c.case, reading_task.c.task).where(
            reading_task.c.project == row.project
        )
        projects[row.role, row.round] = ReaderProject(
            id=row.project, tasks={each.case: each.task for each in connection.execute(tasks)}
        )
    return projects
