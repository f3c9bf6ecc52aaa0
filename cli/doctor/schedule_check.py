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
    last, events = _looks(site)
    if last is None and not events:
        yield skipped("scheduler", "nothing of this project has arrived yet")
        return
    age = (site.now() - last).total_seconds() if last else None
    if age is not None and age <= MISSED_ROUNDS * every:
        yield well("scheduler", f"compared with Label Studio {max(age, 0):.0f} s ago")
        return
    when = "never" if age is None else f"last {age / 60:.0f} minutes ago"
    yield broken(
        "scheduler",
        f"compared with Label Studio {when}, which the backend should do every {every:.0f} s",
        "run the backend with YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY, and see its log",
        lambda: _compare(site),
    )


def _looks(site: Site) -> tuple[datetime | None, int]:
    """The newest look at the project, and how many of its events are known."""
    engine = sa.create_engine(site.settings.database)
    try:
        with reading(engine) as connection:
            if not sa.inspect(connection).has_table(reconciliation.name):
                return None, 0
            last = connection.scalar(
                sa.select(sa.func.max(reconciliation.c.at)).where(reconciliation.c.project == site.project)
            )
            count = sa.select(sa.func.count()).select_from(event).where(event.c.project == site.project)
            return last, int(connection.scalar(count) or 0)
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
