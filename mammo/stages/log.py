"""StageLog: the append-only audit log of the projects' stages; the newest row of a project is its current stage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.audit import append
from mammo.database import reading, stage_change, writing
from mammo.errors import StageRefused
from mammo.stages.rules import DEFAULT_STAGE, Stage


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """What is accepted without review in the automatic stage."""

    model_version: str
    """Model version that `threshold` was calibrated for."""

    threshold: float
    """Lowest accepted score."""

    audit_share: float
    """Share of the accepted predictions that are reviewed all the same, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class StageChange:
    """One change of a project's stage."""

    id: int
    project: int
    at: datetime
    actor: str
    before: Stage
    stage: Stage
    reason: str
    overruled: bool
    """Whether the change was made although the rules were not met."""

    model_version: str | None
    """Model version that `threshold` was calibrated for; predictions of other versions are not accepted."""

    threshold: float | None
    audit_share: float | None
    evidence: dict[str, Any]


class StageLog:
    """Reads and appends to the audit log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def current(self, project: int) -> StageChange | None:
        """Return the last change of a project; None if it is still in `DEFAULT_STAGE`."""
        with reading(self._engine) as connection:
            return _newest(connection, project)

    def stage(self, project: int) -> Stage:
        """Return the current stage of a project."""
        change = self.current(project)
        return DEFAULT_STAGE if change is None else change.stage

    def history(self, project: int) -> list[StageChange]:
        """Return all changes of a project, oldest first."""
        rows = sa.select(stage_change).where(stage_change.c.project == project).order_by(stage_change.c.id)
        with reading(self._engine) as connection:
            return [_change(row) for row in connection.execute(rows)]

    def add(
        self,
        project: int,
        stage: Stage,
        *,
        since: StageChange | None,
        actor: str,
        reason: str,
        evidence: dict[str, Any],
        overruled: bool = False,
        acceptance: Acceptance | None = None,
    ) -> StageChange:
        """Change a project's stage.

        Args:
            since: Last change at the time of the decision.
            evidence: JSON of the figures that the decision is based on.
            overruled: Whether the rules were not met.
            acceptance: What is accepted without review, in the automatic stage.

        Raises:
            StageRefused: The stage has been changed since (code `stage_changed`).
            StorageUnavailable: The change was not stored.
        """
        with writing(self._engine) as connection:
            newest = _newest(connection, project)
            if (newest.id if newest else None) != (since.id if since else None):
                raise StageRefused(
                    f"the stage of project {project} has been changed in the meantime; look at it and try again",
                    code="stage_changed",
                )
            row = {
                "project": project,
                "at": datetime.now(UTC),
                "actor": actor,
                "before": newest.stage if newest else DEFAULT_STAGE,
                "stage": stage,
                "reason": reason,
                "overruled": overruled,
                "model_version": acceptance.model_version if acceptance else None,
                "threshold": acceptance.threshold if acceptance else None,
                "audit_share": acceptance.audit_share if acceptance else None,
                "evidence": orjson.dumps(evidence),
            }
            connection.execute(sa.insert(stage_change).values(row))
            append(
                connection,
                actor=actor,
                action="stage changed",
                subject=f"project {project}",
                reason=f"{row['before']} to {stage}: {reason}",
            )
            added = _newest(connection, project)
        assert added is not None
        return added


def _newest(connection: Connection, project: int) -> StageChange | None:
    statement = sa.select(stage_change).where(stage_change.c.project == project)
    row = connection.execute(statement.order_by(stage_change.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _change(row)


def _change(row: Any) -> StageChange:
    return StageChange(**{**row._mapping, "evidence": orjson.loads(row.evidence)})
