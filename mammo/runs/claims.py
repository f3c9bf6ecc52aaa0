"""Claims: which process works on a run, and the only way in which that process may change it.

Claiming a run increments its `attempt`. Every later write names that number, so a process that was presumed dead but
was only slow can no longer change the run. The result of a stage is written once: a second process reads the first
one's.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson
import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.database import insert, reading, run, run_curve, run_stage, writing
from mammo.errors import Cancelled
from mammo.runs.failures import Failure, killed
from mammo.runs.records import Runs, add_event
from mammo.runs.states import ENDED, WORKING, State, may_follow

STALE = timedelta(seconds=60)
"""Age of the last heartbeat from which a process on another host counts as dead."""

MAX_STALLED = 8
"""Consecutive attempts without progress after which a run is failed, since it would be killed again."""

ALREADY_TAKEN = "run_taken"
"""Code of the `Cancelled` raised in a process whose run another process has claimed."""

LOG_EVERY = timedelta(seconds=10)
"""Shortest time between two progress lines in a run's log."""


@dataclass(frozen=True)
class Claim:
    """A process's claim of a run."""

    run: str
    attempt: int


def this_process() -> str:
    """Return a name of this process that is unique among all processes of all hosts: host, pid and start time."""
    process = psutil.Process()
    return f"{socket.gethostname()}/{process.pid}/{int(process.create_time() * 100)}"


def owner_is_alive(owner: str) -> bool | None:
    """Return whether the named process is running; None if it is on another host."""
    host, pid, started = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(pid))
        return int(process.create_time() * 100) == int(started) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def claim(
    runs: Runs,
    name: str,
    *,
    owner: str,
    is_alive: Callable[[str], bool | None] = owner_is_alive,
    now: datetime | None = None,
) -> Claim | None:
    """Claim a run, if no running process works on it.

    A run that was killed `MAX_STALLED` times without progress is failed instead.

    Returns:
        The claim; None if the run has ended, may not start yet, or belongs to another process.
    """
    now = now or datetime.now(UTC)
    with writing(runs.engine) as connection:
        row = connection.execute(sa.select(run).where(run.c.id == name)).one_or_none()
        if row is None or row.state not in WORKING or (row.not_before and row.not_before > now):
            return None
        if row.owner is not None and row.owner != owner and _is_worked_on(row, is_alive, now):
            return None
        stalled = 0 if row.progress > row.claimed_progress else row.stalled + 1
        values = {
            "attempt": row.attempt + 1,
            "stalled": stalled,
            "owner": owner,
            "claimed_at": now,
            "claimed_progress": row.progress,
            "heartbeat_at": now,
        }
        changed = connection.execute(
            sa.update(run).where(run.c.id == name, run.c.attempt == row.attempt).values(values)
        )
        if not changed.rowcount:
            return None
        new_claim = Claim(name, row.attempt + 1)
        if stalled >= MAX_STALLED:
            _end_failed(connection, new_claim, killed())
            return None
        add_event(connection, name, "taken", f"attempt {new_claim.attempt} by {owner}")
    return new_claim


def owner_is_lost(
    run: Any, *, is_alive: Callable[[str], bool | None] = owner_is_alive, now: datetime | None = None
) -> bool:
    """Return whether the process that works on an active run is dead; False if no process has claimed it."""
    return run.owner is not None and not _is_worked_on(run, is_alive, now or datetime.now(UTC))


class RunLedger:
    """Writes the state and results of a run, for the process that has claimed it.

    Every method raises Cancelled if the run was cancelled (code `cancelled`) or claimed by another process
    (`ALREADY_TAKEN`).
    """

    def __init__(self, engine: Engine, claim: Claim) -> None:
        self._engine = engine
        self._claim = claim
        self._last_logged: tuple[str, datetime] = ("", datetime.min.replace(tzinfo=UTC))

    @property
    def state(self) -> State:
        """Current state of the run."""
        with reading(self._engine) as connection:
            return cast(State, connection.scalar(sa.select(run.c.state).where(run.c.id == self._claim.run)))

    def enter(self, state: State) -> None:
        """Move to a state; a state that the run has already passed changes nothing."""
        with writing(self._engine) as connection:
            self._move(connection, state)

    def result(self, stage: str) -> dict[str, Any] | None:
        """Return the result of a stage; None until it is done."""
        with reading(self._engine) as connection:
            return self._result(connection, stage)

    def keep(self, stage: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """Store the result of a stage, unless one is stored; returns the stored result.

        Args:
            result: JSON object.
        """
        with writing(self._engine) as connection:
            self._beat(connection)
            return self._store(connection, stage, result)

    def beat(self, stage: str = "", progress: float = 0.0, message: str = "") -> None:
        """Record a heartbeat.

        Args:
            stage: Stage that is running.
            progress: Progress of the whole run, in [0, 1].
        """
        values: dict[str, Any] = {}
        if stage:
            highest = sa.case((run.c.progress < progress, progress), else_=run.c.progress)
            values = {"progress": highest, "stage": stage, "message": message}
        with writing(self._engine) as connection:
            self._beat(connection, **values)
            now = datetime.now(UTC)
            last_stage, last_time = self._last_logged
            if stage and (stage != last_stage or (message and now - last_time > LOG_EVERY)):
                self._last_logged = (stage, now)
                add_event(connection, self._claim.run, "log", f"{stage} {progress:.1%} {message}".strip())

    def measure(self, network: str, name: str, step: int, value: float) -> None:
        """Record a figure of a training, in place of one of the same step; a value that is no number is left out.

        Args:
            network: `detector` or `segmenter`.
            name: of the curve, for example `loss`.
            step: epoch or step after which it was taken, from 0.
        """
        if not math.isfinite(value):
            return
        row = {"run": self._claim.run, "network": network, "name": name, "step": step, "value": value}
        with writing(self._engine) as connection:
            self._beat(connection)
            new = insert(connection, run_curve).values(row)
            key = ["run", "network", "name", "step"]
            # A training that began again after it was killed, or with half the batch, takes the same steps.
            connection.execute(
                new.on_conflict_do_update(index_elements=key, set_={"value": new.excluded.value})
            )

    def log(self, text: str) -> None:
        """Add a line to the run's log."""
        with writing(self._engine) as connection:
            add_event(connection, self._claim.run, "log", text)

    def end(
        self,
        state: State,
        outcome: Mapping[str, Any],
        *,
        reason: str,
        also: Callable[[Connection], object] | None = None,
    ) -> None:
        """End the run in one transaction.

        Args:
            outcome: JSON object, stored as the result `outcome`.
            reason: Text of the event.
            also: Further writes of the same transaction; an error of theirs leaves the run unchanged.
        """
        with writing(self._engine) as connection:
            self._move(connection, state, text=reason)
            self._store(connection, "outcome", outcome)
            if also is not None:
                also(connection)

    def fail(self, failure: Failure) -> None:
        """End the run as failed."""
        with writing(self._engine) as connection:
            _end_failed(connection, self._claim, failure)

    def release(self, reason: str) -> None:
        """Release the claim, so that another process can claim the run at once; does not count as a stalled attempt."""
        with writing(self._engine) as connection:
            released = {"owner": None, "claimed_progress": -1.0}
            if connection.execute(self._update().values(released)).rowcount:
                add_event(connection, self._claim.run, "log", reason)

    def _move(self, connection: Connection, state: State, *, text: str = "") -> None:
        current = cast(State, connection.scalar(sa.select(run.c.state).where(run.c.id == self._claim.run)))
        if current not in WORKING:
            raise self._lost(connection)
        if state in WORKING and WORKING.index(state) <= WORKING.index(current):
            return
        if not may_follow(current, state):
            raise AssertionError(f"a run cannot go from {current} to {state}")
        values: dict[str, Any] = {"state": state, "heartbeat_at": datetime.now(UTC)}
        if state in ENDED:
            values |= {"active_project": None, "ended_at": datetime.now(UTC), "owner": None, "progress": 1.0}
        if not connection.execute(self._update(current).values(values)).rowcount:
            raise self._lost(connection)
        add_event(connection, self._claim.run, "state", text, state=state)

    def _beat(self, connection: Connection, **values: Any) -> None:
        values["heartbeat_at"] = datetime.now(UTC)
        if not connection.execute(self._update().values(values)).rowcount:
            raise self._lost(connection)

    def _update(self, *states: State) -> sa.Update:
        """Return an update of the run that has no effect if the claim or the state has changed."""
        return sa.update(run).where(
            run.c.id == self._claim.run,
            run.c.attempt == self._claim.attempt,
            run.c.state.in_(states or WORKING),
        )

    def _lost(self, connection: Connection) -> Cancelled:
        row = connection.execute(sa.select(run).where(run.c.id == self._claim.run)).one()
        if row.state in WORKING:
            return Cancelled(f"run {row.id} has been claimed by {row.owner}", code=ALREADY_TAKEN)
        return Cancelled(f"run {row.id} is {row.state}")

    def _result(self, connection: Connection, stage: str) -> dict[str, Any] | None:
        statement = sa.select(run_stage.c.result).where(
            run_stage.c.run == self._claim.run, run_stage.c.stage == stage
        )
        stored = connection.scalar(statement)
        return None if stored is None else orjson.loads(stored)

    def _store(self, connection: Connection, stage: str, result: Mapping[str, Any]) -> dict[str, Any]:
        row = {
            "run": self._claim.run,
            "stage": stage,
            "attempt": self._claim.attempt,
            "result": orjson.dumps(result),
            "at": datetime.now(UTC),
        }
        connection.execute(insert(connection, run_stage).values(row).on_conflict_do_nothing())
        stored = self._result(connection, stage)
        assert stored is not None
        return stored


def _is_worked_on(row: Any, is_alive: Callable[[str], bool | None], now: datetime) -> bool:
    """Return whether the owner of a run is alive; on another host, whether its heartbeat is recent."""
    alive = is_alive(row.owner)
    if alive is None:
        return bool(row.heartbeat_at and now - row.heartbeat_at < STALE)
    return alive


def _end_failed(connection: Connection, claim: Claim, failure: Failure) -> None:
    values = {
        "state": "failed",
        "active_project": None,
        "owner": None,
        "ended_at": datetime.now(UTC),
        "failure": failure.kind,
        "error": failure.sentence,
    }
    update = sa.update(run).where(
        run.c.id == claim.run, run.c.attempt == claim.attempt, run.c.state.in_(WORKING)
    )
    if connection.execute(update.values(values)).rowcount:
        add_event(connection, claim.run, "state", failure.sentence, state="failed")
