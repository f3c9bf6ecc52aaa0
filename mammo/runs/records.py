"""Runs: request, show, cancel and resume runs. What a worker does with a run is in `claims`.

The row is the truth; a job of the queue only makes a worker look at it. One retrain and one run for a provisional
model per project are active, and one adaptation per site: the column `active_project` is unique, and NULL once a run
has ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.audit import append
from mammo.database import insert, reading, run, run_curve, run_event, run_stage, run_trigger, writing
from mammo.errors import RunConflict, UnknownRun
from mammo.runs.run import Run, RunEvent
from mammo.runs.states import ENDED, RESUMABLE, WORKING, State, Trigger, is_provisional, kind_of

RESUMABLE_FOR = timedelta(days=30)
"""How long the results of a failed or cancelled run are retained, so that it can be resumed."""

ORDER = "order"
"""Stage under which what an adaptation needs to know beyond its row is stored with the request."""

PICTURES = "pictures"
"""Key of a run's outcome: `record`, the SHA-256 of its verdict record, and `pictures`, those of the pictures."""

FINDINGS = "findings"
"""Key of an evaluation's result: SHA-256 of the findings behind it, from which the verdict record is made."""

ADAPTATION = 0
"""`active_project` of an adaptation: it uses no corrections, so it takes no project's place."""


@dataclass(frozen=True)
class RunRequest:
    """Result of requesting a run."""

    run: str
    created: bool
    """Whether a run was created; if not, `run` is the project's active run, which covers this request."""


class Runs:
    """Reads and writes the tables of runs. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def request(
        self,
        project: int,
        *,
        recipe: str,
        reason: str,
        trigger: Trigger,
        not_before: datetime | None = None,
        key: str | None = None,
        run_id: str | None = None,
        order: Mapping[str, Any] | None = None,
    ) -> RunRequest:
        """Create a run, or record that the active run in its place covers this request.

        Args:
            not_before: Earliest start.
            key: Idempotency key: requests with the same key count once, whichever processes make them.
            run_id: Id of the new run; by default a random one.
            order: JSON object, stored as the result `ORDER` of a new run.
        """
        now = datetime.now(UTC)
        kind, slot = kind_of(trigger, recipe), _slot(project, trigger, recipe)
        new_id = run_id or f"{kind}-{project}-{uuid.uuid4().hex[:12]}"
        with writing(self.engine) as connection:
            if key is not None:
                earlier = connection.scalar(sa.select(run_trigger.c.run).where(run_trigger.c.key == key))
                if earlier is not None:
                    return RunRequest(str(earlier), created=False)
            row = {
                "id": new_id,
                "project": project,
                "active_project": slot,
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
            active = new_id if created else _active(connection, slot)
            if active is None:  # it ended between the two statements
                raise RunConflict(
                    f"the active run of project {project} has just ended; request the run again"
                )
            if created:
                add_event(connection, new_id, "state", reason, state="queued")
                if order is not None:
                    stage = {"run": new_id, "stage": ORDER, "attempt": 0, "result": orjson.dumps(order)}
                    connection.execute(sa.insert(run_stage).values(**stage, at=now))
            else:
                add_event(connection, active, "trigger", f"{trigger}: {reason}; covered by this run")
                if not_before is None:  # a person is waiting for it now
                    connection.execute(sa.update(run).where(run.c.id == active).values(not_before=None))
            request = {"key": key, "project": project, "run": active, "trigger": trigger, "reason": reason}
            connection.execute(sa.insert(run_trigger).values(**request, started=created, at=now))
        return RunRequest(active, created)

    def get(self, name: str) -> Run:
        """Return a run by its full id.

        Raises:
            UnknownRun: There is no such run.
        """
        with reading(self.engine) as connection:
            row = connection.execute(sa.select(run).where(run.c.id == name)).one_or_none()
        if row is None:
            raise UnknownRun(f"no run has the id {name!r}; `yolo-mlsam runs list` shows all runs")
        return Run.of(row)

    def find(self, prefix: str) -> Run:
        """Return a run by its id or a unique prefix of it, as a person types it.

        Raises:
            UnknownRun: No run, or more than one, has this prefix.
        """
        matches = run.c.id.startswith(prefix, autoescape=True)
        # Sorted, so that an exact match comes before longer ids.
        with reading(self.engine) as connection:
            rows = connection.execute(sa.select(run).where(matches).order_by(run.c.id).limit(2)).all()
        exact = [row for row in rows if row.id == prefix]
        if not prefix or len(exact or rows) != 1:
            number = "several ids begin" if len(rows) > 1 else "no id begins"
            raise UnknownRun(f"{number} with {prefix!r}; `yolo-mlsam runs list` shows all runs")
        return Run.of((exact or rows)[0])

    def newest(
        self, *, project: int | None = None, active: bool = False, limit: int = 50, offset: int = 0
    ) -> list[Run]:
        """Return runs, newest first.

        Args:
            active: Only runs that have not ended.
            offset: Number of the newest that are left out.
        """
        statement = sa.select(run).order_by(run.c.created_at.desc(), run.c.id).limit(limit).offset(offset)
        if project is not None:
            statement = statement.where(run.c.project == project)
        if active:
            statement = statement.where(run.c.active_project.is_not(None))
        with reading(self.engine) as connection:
            return [Run.of(row) for row in connection.execute(statement)]

    def projects(self) -> list[int]:
        """Return the projects that have a run."""
        with reading(self.engine) as connection:
            return sorted(connection.scalars(sa.select(run.c.project).distinct()))

    def last_retrain(self, project: int) -> Run | None:
        """Return the project's newest retrain that has ended; None without one."""
        statement = (
            sa.select(run)
            .where(run.c.project == project, run.c.trigger != "adapt", run.c.state.in_(ENDED))
            .order_by(run.c.created_at.desc(), run.c.id)
            .limit(1)
        )
        with reading(self.engine) as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else Run.of(row)

    def active(self, project: int) -> Run | None:
        """Return the project's active retrain; None without one."""
        statement = sa.select(run).where(run.c.active_project == project)
        with reading(self.engine) as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else Run.of(row)

    def events(
        self, name: str, *, after: int = 0, limit: int = 1000, newest: bool = False
    ) -> Sequence[RunEvent]:
        """Return the events of a run, oldest first.

        Args:
            after: Id of an event; only later ones are returned.
            newest: If there are more than `limit`, return the last ones.
        """
        order = run_event.c.id.desc() if newest else run_event.c.id
        statement = (
            sa.select(run_event)
            .where(run_event.c.run == name, run_event.c.id > after)
            .order_by(order)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            events = [RunEvent(**row._asdict()) for row in connection.execute(statement)]
        return events[::-1] if newest else events

    def result(self, name: str, stage: str) -> dict[str, Any]:
        """Return the result of one stage of a run; empty until it is done."""
        statement = sa.select(run_stage.c.result).where(run_stage.c.run == name, run_stage.c.stage == stage)
        with reading(self.engine) as connection:
            stored = connection.scalar(statement)
        return {} if stored is None else dict(orjson.loads(stored))

    def results(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the results of a run by stage; those of its evaluations are large."""
        statement = sa.select(run_stage).where(run_stage.c.run == name)
        with reading(self.engine) as connection:
            return {row.stage: orjson.loads(row.result) for row in connection.execute(statement)}

    def curves(self, name: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
        """Return the figures of a run's trainings: by network and name, the values by epoch or step, ascending."""
        columns = run_curve.c
        statement = (
            sa.select(columns.network, columns.name, columns.step, columns.value)
            .where(columns.run == name)
            .order_by(columns.network, columns.name, columns.step)
        )
        curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
        with reading(self.engine) as connection:
            for network, curve, step, value in connection.execute(statement):
                curves.setdefault(network, {}).setdefault(curve, []).append((step, value))
        return curves

    def triggers(self, project: int) -> list[dict[str, Any]]:
        """Return all requests for runs of a project, oldest first."""
        statement = sa.select(run_trigger).where(run_trigger.c.project == project).order_by(run_trigger.c.id)
        with reading(self.engine) as connection:
            return [{**row._asdict(), "at": row.at.isoformat()} for row in connection.execute(statement)]

    def cancel(self, name: str, *, reason: str = "", actor: str = "") -> Run:
        """Cancel a run at once; its process stops within seconds, and the run can be resumed.

        Raises:
            UnknownRun: There is no such run.
            RunConflict: The run has ended.
        """
        current = self.get(name)
        with writing(self.engine) as connection:
            cancelled: dict[str, Any] = {
                "state": "cancelled",
                # Voids the claim of the current process, also if the run is resumed.
                "attempt": run.c.attempt + 1,
                "active_project": None,
                "ended_at": datetime.now(UTC),
            }
            changed = connection.execute(
                sa.update(run).where(run.c.id == current.id, run.c.state.in_(WORKING)).values(cancelled)
            )
            if not changed.rowcount:
                raise RunConflict(
                    f"run {current.id} has already ended ({current.state}); only active ones can be cancelled"
                )
            add_event(connection, current.id, "state", reason, state="cancelled")
            append(connection, actor=actor, action="run cancelled", subject=current.id, reason=reason)
        return self.get(current.id)

    def resume(self, name: str, *, reason: str = "", actor: str = "") -> Run:
        """Return a cancelled or failed run to the state `queued`; completed stages are not repeated.

        Raises:
            UnknownRun: There is no such run.
            RunConflict: The run is neither cancelled nor failed, or its project has another active run.
        """
        current = self.get(name)
        with writing(self.engine) as connection:
            slot = _slot(current.project, current.trigger, current.recipe)
            other = _active(connection, slot)
            if other is not None:
                place = "this site has an active adaptation"
                if slot != ADAPTATION:
                    place = f"project {current.project} has an active run"
                raise RunConflict(f"{place}, {other}; cancel it first")
            queued = {
                "state": "queued",
                "active_project": slot,
                "stalled": 0,
                "claimed_progress": -1.0,
                "failure": None,
                "error": None,
                "ended_at": None,
                "not_before": None,
            }
            changed = connection.execute(
                sa.update(run).where(run.c.id == current.id, run.c.state.in_(RESUMABLE)).values(queued)
            )
            if not changed.rowcount:
                raise RunConflict(
                    f"run {current.id} is {current.state}; only failed and cancelled runs can be resumed"
                )
            add_event(connection, current.id, "state", reason or "resumed", state="queued")
            append(connection, actor=actor, action="run resumed", subject=current.id, reason=reason)
        return self.get(current.id)

    def record_job(self, name: str, job: str) -> None:
        """Record the job that was enqueued for a run."""
        with writing(self.engine) as connection:
            connection.execute(sa.update(run).where(run.c.id == name).values(job=job))

    def unfinished(self, *, since: timedelta = RESUMABLE_FOR) -> set[str]:
        """Return the ids of active runs, and of resumable runs that ended within `since`."""
        ended = sa.and_(run.c.state.in_(RESUMABLE), run.c.ended_at > datetime.now(UTC) - since)
        statement = sa.select(run.c.id).where(sa.or_(run.c.ended_at.is_(None), ended))
        with reading(self.engine) as connection:
            return set(connection.scalars(statement))

    def blobs(self, *, since: timedelta = RESUMABLE_FOR) -> set[str]:
        """Return the SHA-256 of weights and findings that active and resumable runs may still need."""
        recent = sa.or_(run.c.ended_at.is_(None), run.c.ended_at > datetime.now(UTC) - since)
        statement = (
            sa.select(run_stage.c.result)
            .join(run, run_stage.c.run == run.c.id)
            .where(run_stage.c.stage.in_(("detector", "segmenter", "champion", "challenger")), recent)
        )
        with reading(self.engine) as connection:
            results = [orjson.loads(result) for result in connection.scalars(statement)]
        return {each[key] for each in results for key in ("sha256", FINDINGS) if each.get(key)}


def add_event(connection: Connection, name: str, kind: str, text: str, *, state: State | None = None) -> None:
    """Append an event of a run."""
    row = {"run": name, "at": datetime.now(UTC), "kind": kind, "state": state, "text": text}
    connection.execute(sa.insert(run_event).values(row))


def _slot(project: int, trigger: Trigger, recipe: str) -> int:
    """The place, in `active_project`, that only one active run may take."""
    if trigger == "adapt":
        return ADAPTATION
    return -project if is_provisional(recipe) else project


def _active(connection: Connection, slot: int) -> str | None:
    run_id: str | None = connection.scalar(sa.select(run.c.id).where(run.c.active_project == slot))
    return run_id
