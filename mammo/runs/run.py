"""Run and RunEvent: a run as its row says, and one line of its log."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from mammo.runs.states import WORKING, State, Trigger

MIN_ADVANCE = 0.02
"""Progress since the last claim from which the remaining time can be estimated."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Current state of a run."""

    id: str
    project: int
    recipe: str
    reason: str
    trigger: Trigger
    state: State
    stage: str
    progress: float
    """Progress of the whole run, in [0, 1]; never decreases."""

    message: str
    failure: str | None
    """A `mammo.runs.failures.FailureKind`; None unless the run failed."""

    error: str | None
    attempt: int
    """Number of claims."""

    owner: str | None
    """Process that works on the run; see `mammo.runs.claims.this_process`."""

    claimed_at: datetime | None
    claimed_progress: float
    """Progress at the last claim."""

    heartbeat_at: datetime | None
    job: str | None
    """Last job enqueued for the run."""

    not_before: datetime | None
    """Earliest start, because of quiet hours."""

    created_at: datetime
    ended_at: datetime | None

    @property
    def active(self) -> bool:
        """Whether the run has not ended."""
        return self.state in WORKING

    def seconds_left(self, *, now: datetime | None = None) -> float | None:
        """Estimate the remaining time in seconds from the progress since the last claim; None if it is too early."""
        advance = self.progress - max(self.claimed_progress, 0.0)
        if self.owner is None or self.claimed_at is None or advance < MIN_ADVANCE:
            return None
        elapsed = ((now or datetime.now(UTC)) - self.claimed_at).total_seconds()
        return round(elapsed * (1 - self.progress) / advance, 1)

    @classmethod
    def of(cls, row: Any) -> Self:
        """Convert a row of the table `run`."""
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})

    def to_json(self) -> dict[str, Any]:
        """Return the run as a JSON object, with times as ISO text."""
        fields = {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in asdict(self).items()
        }
        return {**fields, "seconds_left": self.seconds_left()}


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """One event of a run."""

    id: int
    run: str
    at: datetime
    kind: str
    """`state`, `trigger`, `taken`, `log` or `failure`."""

    state: State | None
    """New state of the run."""

    text: str

    def to_json(self) -> dict[str, Any]:
        """Return the event as a JSON object, with its time as ISO text."""
        return {**asdict(self), "at": self.at.isoformat()}
