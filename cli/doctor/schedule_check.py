"""The scheduler: what compares our corrections with Label Studio's, since its webhooks come once or never.

Today it is a thread of the backend (`backend/reconciling.py`), and the database remembers each of its looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime

import sqlalchemy as sa

from cli.doctor.diagnosis import Diagnosis, broken, skipped, well
from cli.doctor.site import Site
from mammo.annotations import AnnotationStore, reconcile
from mammo.database import event, open_database, reading, reconciliation

MISSED_ROUNDS = 3
"""So many rounds without a look mean that nobody looks."""


def check_schedule(site: Site) -> Iterator[Diagnosis]:
    """When this project was last compared with Label Studio."""
    every = site.settings.reconcile_seconds
    if every == 0:
        yield broken(
            "scheduler",
            "no schedule: a correction whose webhook was lost is found only before a training run",
            "set YOLO_MLSAM_RECONCILE_SECONDS to more than 0",
        )
        return
    last, first = _looks(site)
    if last is None and first is None:
        yield skipped("scheduler", "nothing of this project has arrived yet")
        return
    age = (site.now() - last).total_seconds() if last else None
    if age is not None and age <= MISSED_ROUNDS * every:
        yield well("scheduler", f"compared with Label Studio {max(age, 0):.0f} s ago")
        return
    if age is None and first is not None and (site.now() - first).total_seconds() <= every:
        says = f"not compared with Label Studio yet, which the backend does every {every:.0f} s"
        yield skipped("scheduler", says)
        return
    when = "never" if age is None else f"last {age / 60:.0f} minutes ago"
    yield broken(
        "scheduler",
        f"compared with Label Studio {when}, which the backend should do every {every:.0f} s",
        "run the backend with YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY, and see its log",
        lambda: _compare(site),
    )


def _looks(site: Site) -> tuple[datetime | None, datetime | None]:
    """The newest look at the project, and when its first event came."""
    engine = sa.create_engine(site.settings.database)
    try:
        with reading(engine) as connection:
            if not sa.inspect(connection).has_table(reconciliation.name):
                return None, None
            last = connection.scalar(
                sa.select(sa.func.max(reconciliation.c.at)).where(reconciliation.c.project == site.project)
            )
            came = sa.select(sa.func.min(event.c.received_at)).where(event.c.project == site.project)
            return last, connection.scalar(came)
    finally:
        engine.dispose()


def _compare(site: Site) -> None:
    assert site.client is not None
    assert site.project is not None
    engine = open_database(site.settings.database)
    try:
        with closing(AnnotationStore(engine)) as store:
            reconcile(site.project, client=site.client, store=store, engine=engine)
    finally:
        engine.dispose()
