"""The scheduler: what compares our corrections with Label Studio's, since its webhooks come once or never.

Today it is a thread of the backend (`backend/reconciling.py`), and the database remembers each of its looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa

from cli.doctor.diagnosis import Diagnosis, broken, skipped, well
from cli.doctor.inspection import Inspection
from mammo.database import event, reading, reconciliation
from mammo.errors import StorageUnavailable

MISSED_ROUNDS = 3
"""So many rounds without a look mean that nobody looks."""


def check_schedule(inspection: Inspection) -> Iterator[Diagnosis]:
    """When this project was last compared with Label Studio."""
    every = inspection.settings.reconcile_seconds
    if every == 0:
        yield broken(
            "scheduler",
            "no schedule: a correction whose webhook was lost is found only before a training run",
            "set YOLO_MLSAM_RECONCILE_SECONDS to more than 0",
        )
        return
    last, first = _looks(inspection)
    if last is None and first is None:
        yield skipped("scheduler", "nothing of this project has arrived yet")
        return
    age = (inspection.now() - last).total_seconds() if last else None
    if age is not None and age <= MISSED_ROUNDS * every:
        yield well("scheduler", f"compared with Label Studio {max(age, 0):.0f} s ago")
        return
    if age is None and first is not None and (inspection.now() - first).total_seconds() <= every:
        says = f"not compared with Label Studio yet, which the backend does every {every:.0f} s"
        yield skipped("scheduler", says)
        return
    when = "never" if age is None else f"last {age / 60:.0f} minutes ago"
    yield broken(
        "scheduler",
        f"compared with Label Studio {when}, which the backend should do every {every:.0f} s",
        "run the backend with YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY, and see its log",
        lambda: _compare(inspection),
    )


def _looks(inspection: Inspection) -> tuple[datetime | None, datetime | None]:
    """The newest look at the project, and when its first event came."""
    try:
        engine = inspection.site.engine
    except StorageUnavailable:  # see the check database
        return None, None
    with reading(engine) as connection:
        last = connection.scalar(
            sa.select(sa.func.max(reconciliation.c.at)).where(reconciliation.c.project == inspection.project)
        )
        first = sa.select(sa.func.min(event.c.received_at)).where(event.c.project == inspection.project)
        return last, connection.scalar(first)


def _compare(inspection: Inspection) -> None:
    assert inspection.project is not None
    inspection.site.reconcile(inspection.project)
