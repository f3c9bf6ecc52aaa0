"""Runs: what people and schedules do with runs: ask, look, cancel, resume. What a worker does is in `claims`.

The row is the truth; the queue only tells a worker to look at it. One run per project is active: the column
`active_project` is unique, and empty once a run has ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.database import insert, reading, run, run_event, run_stage, run_trigger, writing
from mammo.errors import RunConflict, UnknownRun
from mammo.runs.states import RESUMABLE, WORKING, State, Trigger

MIN_ADVANCE = 0.02
"""Progress since a run was taken up from which its end can be foretold."""


KEPT_FOR = timedelta(days=30)
"""How long what a run that failed or was cancelled has done is kept for it to be resumed."""


@dataclass(frozen=True)
class Asked:
    """The answer to whoever asked for a run."""

    run: str
    created: bool
    """False: the project's active run stands for this trigger too."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as it is now."""

    id: str
    project: int
    recipe: str
    reason: str
    trigger: Trigger
    state: State
    stage: str
    progress: float
    """In [0, 1]; never falls."""

    message: str
    failure: str | None
    """A `mammo.runs.failures.Kind`; None unless it failed."""

    error: str | None
    attempt: int
    """How often a process has taken it up."""

    owner: str | None
    """The process that works on it."""

    claimed_at: datetime | None
    claimed_progress: float
    heartbeat_at: datetime | None
    job: str | None
    """The queue's job that last told a worker of it."""

    not_before: datetime | None
    """Quiet hours: it starts then."""

    created_at: datetime
    ended_at: datetime | None

    @property
    def active(self) -> bool:
        return self.state in WORKING

    def seconds_left(self, *, now: datetime | None = None) -> float | None:
        """Foretold from the progress since it was taken up last; None while that says nothing."""
        advance = self.progress - max(self.claimed_progress, 0.0)
        if self.owner is None or self.claimed_at is None or advance < MIN_ADVANCE:
            return None
        elapsed = ((now or datetime.now(UTC)) - self.claimed_at).total_seconds()
        return round(elapsed * (1 - self.progress) / advance, 1)

    def to_json(self) -> dict[str, Any]:
        """JSON values; moments as ISO text."""
        plain = {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in asdict(self).items()
        }
        return {**plain, "seconds_left": self.seconds_left()}


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Something that happened to a run."""

    id: int
    run: str
    at: datetime
    kind: str
    """`state`, `trigger`, `taken`, `log` or `failure`."""

    state: State | None
    """The state it moved to."""

    text: str

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}


class Runs:
    """Safe to share between threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def ask(
        self,
        project: int,
        *,
        recipe: str,
        reason: str,
        trigger: Trigger,
        not_before: datetime | None = None,
        key: str | None = None,
        run_id: str | None = None,
    ) -> Asked:
        """Start a run, or let the project's active one stand for this trigger too; either is recorded.

        Args:
            not_before: no worker takes it up before.
            key: names the occasion, so that the same one asks once however many notice it.
            run_id: of the new run, where something has named it already.
        """
        now = datetime.now(UTC)
        made = run_id or f"retrain-{project}-{uuid.uuid4().hex[:12]}"
        with writing(self.engine) as connection:
            if key is not None:
                known = connection.scalar(sa.select(run_trigger.c.run).where(run_trigger.c.key == key))
                if known is not None:
                    return Asked(str(known), created=False)
            row = {
                "id": made,
                "project": project,
                "active_project": project,
                "recipe": recipe,
                "reason": reason,
                "trigger": trigger,
                "state": "queued",
                "attempt": 0,
                "stalled": 0,
                "claimed_progress": -1.0,
                "progress": 0.0,
                "stage": "",
                "message": "",
                "not_before": not_before,
                "created_at": now,
            }
            new = (
                insert(connection, run).values(row).on_conflict_do_nothing(index_elements=["active_project"])
            )
            created = connection.scalar(new.returning(run.c.id)) is not None
            active = made if created else _active(connection, project)
            if active is None:  # it ended between the two statements
                raise RunConflict(f"project {project} had an active run a moment ago; ask again")
            if created:
                add_event(connection, made, "state", reason, state="queued")
            else:
                add_event(connection, active, "trigger", f"{trigger}: {reason}; this run stands for it")
                if not_before is None:  # somebody waits for it now
                    connection.execute(sa.update(run).where(run.c.id == active).values(not_before=None))
            told = {"key": key, "project": project, "run": active, "trigger": trigger, "reason": reason}
            connection.execute(sa.insert(run_trigger).values(**told, started=created, at=now))
        return Asked(active, created)

    def get(self, name: str) -> Run:
        """A run by its whole id.

        Raises:
            UnknownRun: there is none.
        """
        with reading(self.engine) as connection:
            row = connection.execute(sa.select(run).where(run.c.id == name)).one_or_none()
        if row is None:
            raise UnknownRun(f"no run is called {name!r}; `yolo-mlsam runs list` shows them")
        return as_run(row)

    def find(self, begin: str) -> Run:
        """A run by its id, or by the beginning of it: for people who type it.

        Raises:
            UnknownRun: none, or several begin so.
        """
        begins = run.c.id.startswith(begin, autoescape=True)
        # In order: the one that is called so stands before those that only begin so.
        with reading(self.engine) as connection:
            rows = connection.execute(sa.select(run).where(begins).order_by(run.c.id).limit(2)).all()
        exact = [row for row in rows if row.id == begin]
        if not begin or len(exact or rows) != 1:
            how = "several runs begin" if len(rows) > 1 else "no run begins"
            raise UnknownRun(f"{how} with {begin!r}; `yolo-mlsam runs list` shows them")
        return as_run((exact or rows)[0])

    def newest(self, *, project: int | None = None, active: bool = False, limit: int = 50) -> list[Run]:
        """Newest first."""
        statement = sa.select(run).order_by(run.c.created_at.desc()).limit(limit)
        if project is not None:
            statement = statement.where(run.c.project == project)
        if active:
            statement = statement.where(run.c.active_project.is_not(None))
        with reading(self.engine) as connection:
            return [as_run(row) for row in connection.execute(statement)]

    def active(self, project: int) -> Run | None:
        """The project's run that has not ended."""
        found = self.newest(project=project, active=True, limit=1)
        return found[0] if found else None

    def events(
        self, name: str, *, after: int = 0, limit: int = 1000, newest: bool = False
    ) -> Sequence[RunEvent]:
        """What happened to a run after an event, oldest first.

        Args:
            newest: when there are more than `limit`, the last ones.
        """
        order = run_event.c.id.desc() if newest else run_event.c.id
        statement = (
            sa.select(run_event)
            .where(run_event.c.run == name, run_event.c.id > after)
            .order_by(order)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            found = [RunEvent(**row._asdict()) for row in connection.execute(statement)]
        return found[::-1] if newest else found

    def results(self, name: str) -> dict[str, dict[str, Any]]:
        """What the stages of a run came to, by stage."""
        statement = sa.select(run_stage).where(run_stage.c.run == name)
        with reading(self.engine) as connection:
            return {row.stage: orjson.loads(row.result) for row in connection.execute(statement)}

    def triggers(self, project: int) -> list[dict[str, Any]]:
        """Everything that asked for runs of a project, oldest first."""
        statement = sa.select(run_trigger).where(run_trigger.c.project == project).order_by(run_trigger.c.id)
        with reading(self.engine) as connection:
            return [{**row._asdict(), "at": row.at.isoformat()} for row in connection.execute(statement)]

    def cancel(self, name: str, *, reason: str = "") -> Run:
        """End a run now; its process notices within a second or two. It can be resumed where it was.

        Raises:
            UnknownRun: there is none.
            RunConflict: it has ended.
        """
        found = self.get(name)
        with writing(self.engine) as connection:
            ended: dict[str, Any] = {
                "state": "cancelled",
                "attempt": run.c.attempt
                + 1,  # its process may change nothing any more, not even if it is resumed
                "active_project": None,
                "ended_at": datetime.now(UTC),
            }
            changed = connection.execute(
                sa.update(run).where(run.c.id == found.id, run.c.state.in_(WORKING)).values(ended)
            )
            if not changed.rowcount:
                raise RunConflict(f"run {found.id} has ended already: {found.state}")
            add_event(connection, found.id, "state", reason, state="cancelled")
        return self.get(found.id)

    def resume(self, name: str, *, reason: str = "") -> Run:
        """Send a cancelled or failed run back to the queue; stages that were done are not done again.

        Raises:
            UnknownRun: there is none.
            RunConflict: it is neither, or the project has another active run.
        """
        found = self.get(name)
        with writing(self.engine) as connection:
            other = _active(connection, found.project)
            if other is not None:
                raise RunConflict(f"project {found.project} has an active run, {other}; cancel it first")
            again = {
                "state": "queued",
                "active_project": found.project,
                "stalled": 0,
                "claimed_progress": -1.0,
                "failure": None,
                "error": None,
                "ended_at": None,
                "not_before": None,
            }
            changed = connection.execute(
                sa.update(run).where(run.c.id == found.id, run.c.state.in_(RESUMABLE)).values(again)
            )
            if not changed.rowcount:
                raise RunConflict(
                    f"run {found.id} is {found.state}; only failed and cancelled ones are resumed"
                )
            add_event(connection, found.id, "state", reason or "resumed", state="queued")
        return self.get(found.id)

    def told(self, name: str, job: str) -> None:
        """Remember which job of the queue tells a worker of this run."""
        with writing(self.engine) as connection:
            connection.execute(sa.update(run).where(run.c.id == name).values(job=job))

    def unfinished(self, *, since: timedelta = KEPT_FOR) -> set[str]:
        """Runs that are active, and those that could be resumed and ended not long ago."""
        ended = sa.and_(run.c.state.in_(RESUMABLE), run.c.ended_at > datetime.now(UTC) - since)
        statement = sa.select(run.c.id).where(sa.or_(run.c.ended_at.is_(None), ended))
        with reading(self.engine) as connection:
            return set(connection.scalars(statement))

    def blobs(self, *, since: timedelta = KEPT_FOR) -> set[str]:
        """SHA-256 of weights that runs may still need: those active, and those that could be resumed."""
        fresh = sa.or_(run.c.ended_at.is_(None), run.c.ended_at > datetime.now(UTC) - since)
        statement = (
            sa.select(run_stage.c.result)
            .join(run, run_stage.c.run == run.c.id)
            .where(run_stage.c.stage.in_(("detector", "segmenter")), fresh)
        )
        with reading(self.engine) as connection:
            return {orjson.loads(result)["sha256"] for result in connection.scalars(statement)}


def add_event(connection: Connection, name: str, kind: str, text: str, *, state: State | None = None) -> None:
    """Append to what happened to a run."""
    row = {"run": name, "at": datetime.now(UTC), "kind": kind, "state": state, "text": text}
    connection.execute(sa.insert(run_event).values(row))


def as_run(row: Any) -> Run:
    """A row of the table `run` as an object."""
    return Run(**{name: getattr(row, name) for name in Run.__dataclass_fields__})


def _active(connection: Connection, project: int) -> str | None:
    found: str | None = connection.scalar(sa.select(run.c.id).where(run.c.active_project == project))
    return found
