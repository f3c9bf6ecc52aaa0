"""The scheduled reconciliation of stored corrections with Label Studio, which makes up for lost webhooks.

It is a thread of the backend (`backend/reconciling.py`) that records each of its rounds in the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa

from mammo.database import event, reading, reconciliation
from mammo.doctor.diagnosis import Diagnosis, broken, skipped, well
from mammo.doctor.inspection import Inspection
from mammo.errors import StorageUnavailable

MISSED_ROUNDS = 3
"""Rounds without a reconciliation after which the schedule counts as stopped."""


def check_schedule(inspection: Inspection) -> Iterator[Diagnosis]:
    """Report when this project was last reconciled."""
    every = inspection.settings.reconcile_seconds
    if every == 0:
        yield broken(
            "scheduler",
            "scheduled reconciliation is off: a correction whose webhook was lost is found only before a retrain",
            "set YOLO_MLSAM_RECONCILE_SECONDS above 0",
        )
        return
    last, first = _times(inspection)
    if last is None and first is None:
        yield skipped("scheduler", "no event of this project has arrived yet")
        return
    age = (inspection.now() - last).total_seconds() if last else None
    if age is not None and age <= MISSED_ROUNDS * every:
        yield well("scheduler", f"reconciled with Label Studio {max(age, 0):.0f} s ago")
        return
    if age is None and first is not None and (inspection.now() - first).total_seconds() <= every:
        says = f"not reconciled with Label Studio yet; the backend does so every {every:.0f} s"
        yield skipped("scheduler", says)
        return
    when = "never" if age is None else f"last {age / 60:.0f} minutes ago"
    yield broken(
        "scheduler",
        f"reconciled with Label Studio {when}; the backend should do so every {every:.0f} s",
        "run the backend with YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY set, and see its log",
        lambda: _reconcile(inspection),
    )


def _times(inspection: Inspection) -> tuple[datetime | None, datetime | None]:
    """Return the times of the project's last reconciliation and of its first event."""
    try:
        engine = inspection.site.engine
    except StorageUnavailable:  # reported by the check `database`
        return None, None
    with reading(engine) as connection:
        last = connection.scalar(
            sa.select(sa.func.max(reconciliation.c.at)).where(reconciliation.c.project == inspection.project)
        )
        first = sa.select(sa.func.min(event.c.received_at)).where(event.c.project == inspection.project)
        return last, connection.scalar(first)


def _reconcile(inspection: Inspection) -> None:
    assert inspection.project is not None
    inspection.site.reconcile(inspection.project)
