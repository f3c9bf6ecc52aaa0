"""This service: settings, database, disk, queue, worker, and the model that is served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from cli.doctor.diagnosis import Diagnosis, broken, warning, well
from cli.doctor.site import Site
from mammo.database import SCHEMA, open_database, reading
from mammo.errors import MammoError
from mammo.runs.jobs import JobQueue, QueueCondition, redis_connection

GIB = 2**30
MIN_FREE = 1 * GIB
COMFORTABLE_FREE = 10 * GIB
"""Room for the blobs of some training runs, in bytes."""


def check_settings(site: Site) -> Iterator[Diagnosis]:
    """What must be set, and is not."""
    settings = site.settings
    needed = {
        "YOLO_MLSAM_AUTH_PASSWORD": settings.auth_password.get_secret_value(),
        "YOLO_MLSAM_WEBHOOK_SECRET": settings.webhook_secret.get_secret_value(),
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        yield broken(
            "settings",
            f"{' and '.join(missing)} not set",
            "set what `openssl rand -hex 32` prints, here and for the backend, which does not start without",
        )
    else:
        yield well("settings", "the secrets are set")
    root = settings.mammogram_root
    if root is not None and not root.is_dir():
        yield broken(
            "mammogram-root", f"{root} is no folder here", "mount it, or correct YOLO_MLSAM_MAMMOGRAM_ROOT"
        )


def check_storage(site: Site) -> Iterator[Diagnosis]:
    """Database and disk."""
    settings = site.settings
    folder = settings.data_dir
    yield from _database(settings.database)
    if not folder.is_dir():
        yield warning(
            "disk",
            f"{folder} is not there yet",
            "the backend makes it when it starts, or doctor --fix",
            lambda: folder.mkdir(mode=0o700, parents=True, exist_ok=True),
        )
        return
    free = shutil.disk_usage(folder).free
    says = f"{free / GIB:.1f} GiB free below {folder}"
    remedy = "make room: events, masks and weights are kept there"
    if free < MIN_FREE:
        yield broken("disk", says, remedy)
    elif free < COMFORTABLE_FREE:
        yield warning("disk", says, remedy)
    else:
        yield well("disk", says)


def check_queue(site: Site) -> Iterator[Diagnosis]:
    """Redis, and whether somebody works off what is in it."""
    try:
        with closing(redis_connection(site.settings.redis_url.get_secret_value(), patience=0)) as connection:
            condition = JobQueue(connection).condition()
    except (MammoError, ValueError):
        yield broken(
            "redis",
            "the broker of YOLO_MLSAM_REDIS_URL does not answer",
            "start Redis or Valkey, or correct the address and its password",
        )
        return
    yield well("redis", "the broker answers")
    yield from _workers(condition)


def check_model(site: Site) -> Iterator[Diagnosis]:
    """Whether the backend is there, and serves the champion."""
    health = site.health
    if health is None:
        where = site.backend_url or f"port {site.settings.port} of {site.settings.host}"
        yield broken(
            "backend", f"no backend answers at {where}", "run `yolo-mlsam serve`; is it another address?"
        )
        return
    serving, champion, problem = (health.get(key) for key in ("model_version", "champion", "problem"))
    if problem:
        yield broken("backend", f"the backend says: {problem}", "see its log")
    elif serving is None:
        yield warning("backend", "the backend is loading its model")
    elif champion is not None and serving != champion:
        yield broken(
            "stale-model",
            f"the backend serves {serving}, and {champion} is the champion",
            "see its log; restart it",
        )
    else:
        yield well("backend", f"the backend serves {serving}")


def _database(url: str) -> Iterator[Diagnosis]:
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and not Path(str(address.database)).exists():
        yield warning(
            "database",
            "there is no database yet",
            "the backend makes it when it starts, or doctor --fix",
            lambda: open_database(url).dispose(),
        )
        return
    engine = sa.create_engine(address)
    try:
        with reading(engine) as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            found = connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if known else None
    except MammoError as error:
        yield broken("database", str(error), "start it, or correct YOLO_MLSAM_DATABASE_URL")
        return
    except sa.exc.SQLAlchemyError as error:
        yield broken("database", f"the database fails: {type(error).__name__}", "restore it from a backup")
        return
    finally:
        engine.dispose()
    if found == SCHEMA:
        yield well("database", f"the database has schema {found}")
    elif found is not None and found > SCHEMA:
        yield broken("database", f"the database has schema {found} of a newer release", "start that release")
    else:
        yield warning(
            "database",
            f"the database has schema {found or 'none'}, this release {SCHEMA}",
            "the backend migrates it when it starts, or doctor --fix",
            lambda: open_database(url).dispose(),
        )


def _workers(condition: QueueCondition) -> Iterator[Diagnosis]:
    if condition.unserved:
        names = ", ".join(f"{count} job(s) in {queue}" for queue, count in condition.unserved.items())
        remedy = f"run `yolo-mlsam work --queues {','.join(condition.unserved)}`"
        yield broken("worker", f"no worker takes {names}", remedy)
    elif condition.workers:
        yield well("worker", f"{condition.workers} worker(s), {condition.waiting} job(s) waiting")
    else:
        yield warning(
            "worker", "no worker runs: nothing will be prelabelled or trained", "run `yolo-mlsam work`"
        )
    if condition.failed:
        yield warning("jobs", f"{condition.failed} job(s) failed in the last 30 days", "see the worker's log")
