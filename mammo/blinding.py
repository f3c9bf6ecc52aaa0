"""Blinding: a share of the tasks is read without a prelabel, as the control arm of edit effort.

A hash of project and patient (or of the task, if it states no patient) decides whether a task is blind. So nobody
chooses, all views of a patient are treated alike (a prelabel in one view says where to look in the other), and a larger
share includes the tasks of a smaller one. The decision is made when a task is first requested, recorded, and final,
whatever the share becomes.
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


def uniform_hash(purpose: str, project: int, key: str) -> float:
    """Return a pseudo-random number in [0, 1) that depends on the arguments only; below a share means selected."""
    digest = hashlib.sha256(f"{purpose} {project} {key}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def patient_or_task(task: int, data: Mapping[str, Any]) -> str:
    """Return the key by which tasks are selected: the patient, or the task if it states no patient."""
    try:
        patient = identifier(data.get("patient"))
    except InvalidTaskData as error:
        log.warning("patient of a task cannot be read", task=task, reason=str(error))
        patient = None
    return f"patient {patient}" if patient else f"task {task}"


class Blinding:
    """Decides which tasks are blind, and records it. Thread-safe."""

    def __init__(self, engine: Engine, shares: Mapping[int, float]) -> None:
        """
        Args:
            shares: Share of blind tasks by project, in [0, 1]; 0 for projects not listed.
        """
        self._engine = engine
        self._shares = dict(shares)

    def is_blind(self, project: int, task: int, data: Mapping[str, Any]) -> bool:
        """Return whether a task is read without a prelabel. A task that was ever shown with a prelabel is not blind."""
        share = self._shares.get(project, 0.0)
        selected = uniform_hash("blind", project, patient_or_task(task, data)) < share
        try:
            return self._decision(project, task, selected, share)
        except StorageUnavailable as error:
            # The hash is stable, so the next request records the same decision.
            log.warning("blinding decision cannot be read", task=task, project=project, code=error.code)
            return selected

    def _decision(self, project: int, task: int, selected: bool, share: float) -> bool:
        """Return the recorded decision; record it on the first request."""
        condition = (task_arm.c.project == project, task_arm.c.task == task)
        decision = sa.select(task_arm.c.blind).where(*condition)
        with reading(self._engine) as connection:
            blind = connection.scalar(decision)
        if blind is not None:
            return bool(blind)
        if not share:
            return False
        shown = sa.select(prelabel.c.id).where(
            prelabel.c.project == project, prelabel.c.task == task, prelabel.c.shown_at.is_not(None)
        )
        with writing(self._engine) as connection:
            row = {
                "project": project,
                "task": task,
                "blind": selected and connection.scalar(shown.limit(1)) is None,
                "share": share,
                "decided_at": datetime.now(UTC),
            }
            connection.execute(insert(connection, task_arm).values(row).on_conflict_do_nothing())
            return bool(connection.scalar(decision))
