"""Claims: which process works on a run, and the only way in which that process may change it.

Taking a run up counts its `attempt`; every later write names that number, so a process that was taken for dead, and
was only slow, changes nothing any more. Each stage's result is written once: whoever comes second reads the first's.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson
import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.database import insert, reading, run, run_stage, writing
from mammo.errors import Cancelled
from mammo.runs.failures import Failure, killed
from mammo.runs.records import Runs, add_event
from mammo.runs.states import ENDED, WORKING, State, may_follow

STALE = timedelta(seconds=60)
"""A process of another host that has not been heard of for so long is dead."""

MAX_STALLED = 8
"""A run that was taken up so often without having come further would be killed again."""

ALREADY_TAKEN = "run_taken"
"""Code of the `Cancelled` that ends a process whose run another one has taken over."""

LOG_EVERY = timedelta(seconds=10)
"""Between two lines of progress in a run's log."""


@dataclass(frozen=True)
class Claim:
    """A run in the hands of a process."""

    run: str
    attempt: int


def this_process() -> str:
    """Names this process among all that ever ran on all hosts."""
    process = psutil.Process()
    return f"{socket.gethostname()}/{process.pid}/{int(process.create_time() * 100)}"


def owner_is_alive(owner: str) -> bool | None:
    """Whether the process of that name runs; None: it is on another host."""
    host, pid, born = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(pid))
        return int(process.create_time() * 100) == int(born) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def claim(
    runs: Runs,
    name: str,
    *,
    owner: str,
    alive: Callable[[str], bool | None] = owner_is_alive,
    now: datetime | None = None,
) -> Claim | None:
    """Take a run up, if nobody living works on it.

    A run that was killed `MAX_STALLED` times without having come further is failed instead.

    Returns:
        None when it has ended, when it is not time, or when another process works on it.
    """
    moment = now or datetime.now(UTC)
    with writing(runs.engine) as connection:
        row = connection.execute(sa.select(run).where(run.c.id == name)).one_or_none()
        if row is None or row.state not in WORKING or (row.not_before and row.not_before > moment):
            return None
        if row.owner is not None and row.owner != owner and _works(row, alive, moment):
            return None
        stalled = 0 if row.progress > row.claimed_progress else row.stalled + 1
        taken = {
            "attempt": row.attempt + 1,
            "stalled": stalled,
            "owner": owner,
            "claimed_at": moment,
            "claimed_progress": row.progress,
            "heartbeat_at": moment,
        }
        changed = connection.execute(
            sa.update(run).where(run.c.id == name, run.c.attempt == row.attempt).values(taken)
        )
        if not changed.rowcount:
            return None
        made = Claim(name, row.attempt + 1)
        if stalled >= MAX_STALLED:
            _end_failed(connection, made, killed())
            return None
        add_event(connection, name, "taken", f"attempt {made.attempt} by {owner}")
    return made


def lost_owner(
    found: Any, *, alive: Callable[[str], bool | None] = owner_is_alive, now: datetime | None = None
) -> bool:
    """Whether the process that works on an active run is dead; False where nobody works on it."""
    return found.owner is not None and not _works(found, alive, now or datetime.now(UTC))


class RunLedger:
    """What the process that has taken a run up writes of it.

    Every method raises Cancelled when the run was cancelled (code `cancelled`) or taken over (`ALREADY_TAKEN`).
    """

    def __init__(self, engine: Engine, taken: Claim) -> None:
        self._engine = engine
        self._claim = taken
        self._shown: tuple[str, datetime] = ("", datetime.min.replace(tzinfo=UTC))

    @property
    def state(self) -> State:
        """Where the run stands."""
        with reading(self._engine) as connection:
            return cast(State, connection.scalar(sa.select(run.c.state).where(run.c.id == self._claim.run)))

    def enter(self, state: State) -> None:
        """Move to a state; one that the run has reached before is no move."""
        with writing(self._engine) as connection:
            self._move(connection, state)

    def result(self, stage: str) -> dict[str, Any] | None:
        """What a stage came to; None while it is not done."""
        with reading(self._engine) as connection:
            return self._result(connection, stage)

    def keep(self, stage: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """Write what a stage came to, once; returns what counts.

        Args:
            result: JSON values.
        """
        with writing(self._engine) as connection:
            self._beat(connection)
            return self._keep(connection, stage, result)

    def beat(self, stage: str = "", progress: float = 0.0, message: str = "") -> None:
        """Say that the process lives, and how far the whole run is in [0, 1]."""
        values: dict[str, Any] = {}
        if stage:
            higher = sa.case((run.c.progress < progress, progress), else_=run.c.progress)
            values = {"progress": higher, "stage": stage, "message": message}
        with writing(self._engine) as connection:
            self._beat(connection, **values)
            now = datetime.now(UTC)
            new_stage, since = stage != self._shown[0], now - self._shown[1]
            if stage and (new_stage or (message and since > LOG_EVERY)):
                self._shown = (stage, now)
                add_event(connection, self._claim.run, "log", f"{stage} {progress:.1%} {message}".strip())

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
        """Come to an end, with everything that belongs to it in one transaction.

        Args:
            also: what must happen exactly when the run ends so; what it raises leaves the run as it was.
        """
        with writing(self._engine) as connection:
            self._move(connection, state, text=reason)
            self._keep(connection, "outcome", outcome)
            if also is not None:
                also(connection)

    def fail(self, failure: Failure) -> None:
        """Give up, saying why."""
        with writing(self._engine) as connection:
            _end_failed(connection, self._claim, failure)

    def release(self, reason: str) -> None:
        """Let go of the run, so that another process can take it up at once; it was not this one's fault."""
        with writing(self._engine) as connection:
            free = {"owner": None, "claimed_progress": -1.0}
            if connection.execute(self._mine().values(free)).rowcount:
                add_event(connection, self._claim.run, "log", reason)

    def _move(self, connection: Connection, state: State, *, text: str = "") -> None:
        now = cast(State, connection.scalar(sa.select(run.c.state).where(run.c.id == self._claim.run)))
        if now not in WORKING:
            raise self._lost(connection)
        if state in WORKING and WORKING.index(state) <= WORKING.index(now):
            return
        if not may_follow(now, state):
            raise AssertionError(f"a run cannot go from {now} to {state}")
        values: dict[str, Any] = {"state": state, "heartbeat_at": datetime.now(UTC)}
        if state in ENDED:
            values |= {"active_project": None, "ended_at": datetime.now(UTC), "owner": None, "progress": 1.0}
        if not connection.execute(self._mine(now).values(values)).rowcount:
            raise self._lost(connection)
        add_event(connection, self._claim.run, "state", text, state=state)

    def _beat(self, connection: Connection, **values: Any) -> None:
        alive = {"heartbeat_at": datetime.now(UTC), **values}
        if not connection.execute(self._mine().values(alive)).rowcount:
            raise self._lost(connection)

    def _mine(self, *states: State) -> sa.Update:
        return sa.update(run).where(
            run.c.id == self._claim.run,
            run.c.attempt == self._claim.attempt,
            run.c.state.in_(states or WORKING),
        )

    def _lost(self, connection: Connection) -> Cancelled:
        row = connection.execute(sa.select(run).where(run.c.id == self._claim.run)).one()
        if row.state in WORKING:
            return Cancelled(f"run {row.id} was taken over by {row.owner}", code=ALREADY_TAKEN)
        return Cancelled(f"run {row.id} is {row.state}")

    def _result(self, connection: Connection, stage: str) -> dict[str, Any] | None:
        mine = sa.select(run_stage.c.result).where(
            run_stage.c.run == self._claim.run, run_stage.c.stage == stage
        )
        found = connection.scalar(mine)
        return None if found is None else orjson.loads(found)

    def _keep(self, connection: Connection, stage: str, result: Mapping[str, Any]) -> dict[str, Any]:
        row = {
            "run": self._claim.run,
            "stage": stage,
            "attempt": self._claim.attempt,
            "result": orjson.dumps(result),
            "at": datetime.now(UTC),
        }
        connection.execute(insert(connection, run_stage).values(row).on_conflict_do_nothing())
        kept = self._result(connection, stage)
        assert kept is not None
        return kept


def _works(row: Any, alive: Callable[[str], bool | None], now: datetime) -> bool:
    lives = alive(row.owner)
    if lives is None:
        return bool(row.heartbeat_at and now - row.heartbeat_at < STALE)
    return lives


def _end_failed(connection: Connection, taken: Claim, failure: Failure) -> None:
    values = {
        "state": "failed",
        "active_project": None,
        "owner": None,
        "ended_at": datetime.now(UTC),
        "failure": failure.kind,
        "error": failure.sentence,
    }
    mine = sa.update(run).where(
        run.c.id == taken.run, run.c.attempt == taken.attempt, run.c.state.in_(WORKING)
    )
    if connection.execute(mine.values(values)).rowcount:
        add_event(connection, taken.run, "state", failure.sentence, state="failed")
