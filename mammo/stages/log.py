"""StageLog: the audit log of a project's stages. Rows are added and never changed; the newest says what holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.database import reading, stage_change, writing
from mammo.errors import StageRefused
from mammo.stages.rules import DEFAULT_STAGE, Stage


@dataclass(frozen=True, kw_only=True)
class StageChange:
    """One row."""

    id: int
    project: int
    at: datetime
    actor: str
    before: Stage
    stage: Stage
    reason: str
    overruled: bool
    """The rules were not met, and somebody decided so all the same."""

    model_version: str | None
    """That `threshold` was calibrated for; other versions accept nothing."""

    threshold: float | None
    audit_share: float | None
    evidence: dict[str, Any]


class StageLog:
    """Reads and writes the log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def current(self, project: int) -> StageChange | None:
        """The change that holds; None: the project was never changed from `DEFAULT_STAGE`."""
        with reading(self._engine) as connection:
            return _newest(connection, project)

    def stage(self, project: int) -> Stage:
        change = self.current(project)
        return DEFAULT_STAGE if change is None else change.stage

    def history(self, project: int) -> list[StageChange]:
        """Every change, oldest first."""
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
        model_version: str | None = None,
        threshold: float | None = None,
        audit_share: float | None = None,
    ) -> StageChange:
        """Change a project's stage.

        Args:
            since: the change that the decision was made upon.

        Raises:
            StageRefused: somebody changed it meanwhile (code `stage_changed`).
            StorageUnavailable: it is not written, and has not changed.
        """
        with writing(self._engine) as connection:
            newest = _newest(connection, project)
            if (newest.id if newest else None) != (since.id if since else None):
                raise StageRefused(
                    f"the stage of project {project} was changed meanwhile; look at it again",
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
                "model_version": model_version,
                "threshold": threshold,
                "audit_share": audit_share,
                "evidence": orjson.dumps(evidence),
            }
            connection.execute(sa.insert(stage_change).values(row))
            added = _newest(connection, project)
        assert added is not None
        return added


def _newest(connection: Connection, project: int) -> StageChange | None:
    mine = sa.select(stage_change).where(stage_change.c.project == project)
    row = connection.execute(mine.order_by(stage_change.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _change(row)


def _change(row: Any) -> StageChange:
    return StageChange(**{**row._mapping, "evidence": orjson.loads(row.evidence)})
