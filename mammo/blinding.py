"""Blinding: a share of the tasks is read without a prelabel, as the control that edit effort is compared with.

Whether a task is blind follows from a hash of its project and its patient (where none is known, of the task), so
nobody chooses, all views of a patient fall alike (a prelabel in one view says where to look in the other), and a
larger share keeps those that a smaller one had blinded. It is decided when the task is first looked at, written
down, and never changes, whatever the share becomes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from mammo.database import insert, prelabel, reading, task_arm, writing
from mammo.errors import InvalidTaskData, StorageUnavailable
from mammo.identifiers import identifier

log = structlog.get_logger()


def lot(purpose: str, project: int, key: str) -> float:
    """A number in [0, 1) that is always the same for the same words: who is below a share belongs to it."""
    drawn = hashlib.sha256(f"{purpose} {project} {key}".encode()).digest()
    return int.from_bytes(drawn[:7], "big") / 2**56


def patient_or_task(task: int, data: Mapping[str, Any]) -> str:
    """What tasks are drawn by."""
    try:
        patient = identifier(data.get("patient"))
    except InvalidTaskData as error:
        log.warning("a task's patient cannot be read", task=task, reason=str(error))
        patient = None
    return f"patient {patient}" if patient else f"task {task}"


class Blinding:
    """Decides and remembers. Safe to share between threads."""

    def __init__(self, engine: Engine, shares: Mapping[int, float]) -> None:
        """
        Args:
            shares: of each project's tasks, in [0, 1]; a project that is not there has none.
        """
        self._engine = engine
        self._shares = dict(shares)

    def is_blind(self, project: int, task: int, data: Mapping[str, Any]) -> bool:
        """Whether a task is read without a prelabel. One that was ever shown with a prelabel is not blind."""
        share = self._shares.get(project, 0.0)
        drawn = lot("blind", project, patient_or_task(task, data)) < share
        try:
            return self._decided(project, task, drawn, share)
        except StorageUnavailable as error:  # the same draw will be written down the next time
            log.warning(
                "whether a task is blind cannot be looked up", task=task, project=project, code=error.code
            )
            return drawn

    def _decided(self, project: int, task: int, drawn: bool, share: float) -> bool:
        mine = (task_arm.c.project == project, task_arm.c.task == task)
        known = sa.select(task_arm.c.blind).where(*mine)
        with reading(self._engine) as connection:
            blind = connection.scalar(known)
        if blind is not None:
            return bool(blind)
        if not share:
            return False
        seen = sa.select(prelabel.c.id).where(
            prelabel.c.project == project, prelabel.c.task == task, prelabel.c.shown_at.is_not(None)
        )
        with writing(self._engine) as connection:
            row = {
                "project": project,
                "task": task,
                "blind": drawn and connection.scalar(seen.limit(1)) is None,
                "share": share,
                "decided_at": datetime.now(UTC),
            }
            connection.execute(insert(connection, task_arm).values(row).on_conflict_do_nothing())
            return bool(connection.scalar(known))
