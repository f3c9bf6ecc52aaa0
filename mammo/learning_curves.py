"""LearningCurves: the learning curves of projects, as a worker or `runs curve` computed them, for whoever shows them.

The curve itself is computed in `training.learning_curve`; here it is a JSON object that is kept and read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.database import learning_curve, reading, writing


class LearningCurves:
    """Keeps learning curves; append-only. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, project: int, content: Mapping[str, Any], *, run: str) -> None:
        """Keep a curve; one that equals the newest of its project is not kept again.

        Args:
            content: `training.learning_curve.curve.Curve.to_json`.
            run: the judged run after which it was computed.
        """
        row = {"project": project, "run": run, "content": orjson.dumps(content), "at": datetime.now(UTC)}
        with writing(self._engine) as connection:
            if connection.scalar(_newest(project, learning_curve.c.content)) != row["content"]:
                connection.execute(sa.insert(learning_curve).values(row))

    def newest(self, project: int) -> dict[str, Any] | None:
        """Return the newest curve of a project, with `at` (ISO, UTC) and `run`; None before the first."""
        with reading(self._engine) as connection:
            row = connection.execute(_newest(project, learning_curve)).one_or_none()
        if row is None:
            return None
        return {**orjson.loads(row.content), "run": row.run, "at": row.at.isoformat(timespec="seconds")}


def _newest(project: int, what: Any) -> sa.Select[Any]:
    columns = learning_curve.c
    return sa.select(what).where(columns.project == project).order_by(columns.id.desc()).limit(1)
