"""This service: settings, database, disk, queue, workers, and the serving model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from mammo.database import SCHEMA, reading
from mammo.dicom.decoder_lock import unlocked
from mammo.doctor.diagnosis import Diagnosis, broken, warning, well
from mammo.doctor.inspection import Inspection
from mammo.errors import MammoError, StorageUnavailable
from mammo.runs.jobs import QueueCondition
from mammo.site import Site

GIB = 2**30
MIN_FREE = 1 * GIB
AMPLE_FREE = 10 * GIB
"""Free disk space in bytes; `AMPLE_FREE` has room for the files of several runs."""


def check_settings(inspection: Inspection) -> Iterator[Diagnosis]:
    """Check the required settings."""
    settings = inspection.settings
    needed = {
        "YOLO_MLSAM_AUTH_PASSWORD": settings.auth_password.get_secret_value(),
        "YOLO_MLSAM_WEBHOOK_SECRET": settings.webhook_secret.get_secret_value(),
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        yield broken(
            "settings",
            f"{' and '.join(missing)} not set",
            "set each to the output of `openssl rand -hex 32`, here and for the backend, which does not start without",
        )
    else:
        yield well("settings", "the secrets are set")
    root = settings.mammogram_root
    if root is not None and not root.is_dir():
        yield broken(
            "mammogram-root", f"{root} is not a folder here", "mount it, or correct YOLO_MLSAM_MAMMOGRAM_ROOT"
        )
    if root is not None and not settings.patient_secret.get_secret_value():
        yield warning(
            "patient-secret",
            "YOLO_MLSAM_PATIENT_SECRET is not set, so no DICOM file can be imported",
            "set it to the output of `openssl rand -hex 32`, once: another one moves patients to other folds",
        )
    twins = settings.twin_root
    if twins is not None and not twins.is_dir():
        yield broken("twin-root", f"{twins} is not a folder here", "make it, or correct YOLO_MLSAM_TWIN_ROOT")


def check_storage(inspection: Inspection) -> Iterator[Diagnosis]:
    """Check database and disk."""
    settings = inspection.settings
    folder = settings.data_dir
    try:
        _ = inspection.site.data_dir
    except StorageUnavailable as error:  # then the database is not opened either
        says, _, remedy = str(error).partition(": ")
        yield broken("data-folder", says, remedy)
        return
    yield from _database(inspection)
    if not folder.is_dir():
        yield warning(
            "disk",
            f"the data folder {folder} does not exist yet",
            "start the backend, which makes it, or run doctor --fix",
            lambda: folder.mkdir(mode=0o700, parents=True, exist_ok=True),
        )
        return
    free = shutil.disk_usage(folder).free
    says = f"{free / GIB:.1f} GiB free below {folder}"
    remedy = "free disk space: events, masks and weights are stored there"
    if free < MIN_FREE:
        yield broken("disk", says, remedy)
    elif free < AMPLE_FREE:
        yield warning("disk", says, remedy)
    else:
        yield well("disk", says)


def check_decoders(_: Inspection) -> Iterator[Diagnosis]:
    """Check that images are decoded by processes that can open neither files nor sockets."""
    reason = unlocked()
    if reason is None:
        yield well("decoders", "images are decoded by processes that can open neither files nor sockets")
    else:
        yield warning(
            "decoders",
            f"the processes that decode images may open files and sockets: {reason}",
            "install libseccomp 2 (Debian: libseccomp2), on Linux with CONFIG_SECCOMP_FILTER",
        )


def check_queue(inspection: Inspection) -> Iterator[Diagnosis]:
    """Check that Redis answers and accepts writes, and that workers take the queued jobs."""
    try:
        inspection.site.queue.check_writable()
        condition = inspection.site.queue.condition()
    except MammoError as error:
        says, _, remedy = str(error).partition(": ")
        yield broken("redis", says, remedy)
        return
    yield well("redis", "Redis answers and accepts writes")
    yield from _workers(condition)


def check_model(inspection: Inspection) -> Iterator[Diagnosis]:
    """Check that the backend answers and serves the champion."""
    health = inspection.health
    if health is None:
        where = inspection.backend_url or f"port {inspection.settings.port} of {inspection.settings.host}"
        yield broken("backend", f"no backend answers at {where}", "run `yolo-mlsam serve`, or correct --url")
        return
    serving, champion, problem = (health.get(key) for key in ("model_version", "champion", "problem"))
    if problem:
        yield broken("backend", f"the backend reports a problem: {problem}", "see its log")
    elif serving is None:
        yield warning("backend", "the backend is loading its model")
    elif champion is not None and serving != champion:
        yield broken(
            "stale-model",
            f"the backend serves {serving}, but {champion} is the champion",
            "see its log, and restart it",
        )
    else:
        yield well("backend", f"the backend serves {serving}")


def _database(inspection: Inspection) -> Iterator[Diagnosis]:
    def create() -> None:
        with Site(settings=inspection.settings, creates=True) as site:
            _ = site.engine

    try:
        with reading(inspection.site.engine):
            pass
    except StorageUnavailable as error:
        if error.code == "no_database":
            remedy = "start the backend, which creates it, or run doctor --fix"
            yield warning("database", "there is no database yet", remedy, create)
        elif error.code == "older_database":
            remedy = "start the backend, which migrates it, or run doctor --fix"
            yield warning("database", str(error), remedy, create)
        elif error.code == "newer_database":
            yield broken("database", str(error), "install the release that made it")
        else:
            yield broken(
                "database",
                str(error),
                "start the database server, correct YOLO_MLSAM_DATABASE_URL, or restore a backup",
            )
    else:
        yield well("database", f"the database has schema {SCHEMA}")


def _workers(condition: QueueCondition) -> Iterator[Diagnosis]:
    if condition.unserved:
        names = ", ".join(f"{count} job(s) in {queue}" for queue, count in condition.unserved.items())
        remedy = f"run `yolo-mlsam work --queues {','.join(condition.unserved)}`"
        yield broken("worker", f"no worker takes {names}", remedy)
    elif condition.workers:
        yield well("worker", f"{condition.workers} worker(s), {condition.waiting} job(s) waiting")
    else:
        yield warning("worker", "no worker is running, so no job is done", "run `yolo-mlsam work`")
    if condition.failed:
        yield warning("jobs", f"{condition.failed} job(s) failed in the last 30 days", "see the worker's log")
