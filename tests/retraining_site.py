"""Retraining at one hospital as real processes that a test may hurt: Redis, a backend, workers.

The workers ask a small Label Studio of the test's own for the projects' labeling configs and annotations.

Every site begins as a copy of one folder: four views each of eight phantom patients, corrected but for the last, and
a champion whose operating point lets nothing through. The gate judges by Dice, so the challenger of the recipe `smoke`,
whose operating point is set on validation patients, is promoted.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from mammo.annotations import AnnotationStore
from mammo.broker import redis_connection
from mammo.database import open_database
from mammo.labelstudio.labeling_config import labeling_config
from mammo.models import STARTER, ModelRegistry
from mammo.runs import Run, Runs, RunService
from mammo.runs.jobs import JobQueue
from mammo.settings import PREFIX, Settings
from tests.backend_process import BackendProcess
from tests.conftest import RedisServer
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.phantom_corrections import correction, imported_phantoms

PROJECT = 5
FEW_CORRECTIONS = 7
"""Project with the first six corrections, of two patients: enough for a provisional model."""

SEEDS = range(9400, 9408)
PATIENT_SECRET = b"the retraining site's test"
PASSWORD = "the password of a test"
LOOK_SECONDS = 0.3
"""Between two looks at a run: seldom enough to leave the processor to it."""

LONG = 1200.0
"""Seconds after which a run is given up, also on a machine that does much else."""

TOO_STRICT = 0.95
"""Threshold of the first champion, above all its scores here; the challenger's is set on its validation patients."""


@dataclass(frozen=True)
class Template:
    """What every site begins with."""

    data: Path
    mammograms: Path
    events: tuple[dict[str, Any], ...]
    """What Label Studio sends of the corrections; those in `data` are all but the last."""


def make_template(folder: Path) -> Template:
    """Draw the patients, keep the corrections, register the champion."""
    root = folder / "mammograms"
    drawn = imported_phantoms(root, seeds=SEEDS, patient_secret=PATIENT_SECRET, views="*.dcm")
    events = tuple(
        correction(number, data, case, project=PROJECT) for number, (data, case) in enumerate(drawn, 1)
    )
    template = Template(folder / "data", root, events)
    settings = Settings.load(data_dir=template.data)
    engine = open_database(settings.database)
    store = AnnotationStore(engine)
    for each in events[:-1]:
        store.append(
            json.dumps(each).encode(),
            action="ANNOTATION_CREATED",
            received_at=datetime(2026, 11, 23, tzinfo=UTC),
        )
    store.close()
    registry = ModelRegistry(engine, settings.blobs)
    registry.ensure_starter(STARTER)
    champion = registry.champion()
    own = ("version", "created_at", "presence_threshold")
    manifest = {key: value for key, value in registry.manifest(champion.version).items() if key not in own}
    blind = registry.register(
        detector=STARTER / "detector.safetensors",
        segmenter=STARTER / "segmenter.safetensors",
        manifest=manifest | {"threshold": TOO_STRICT},
    )
    registry.promote(blind, expected_epoch=champion.epoch, reason="the test's beginning", actor="test")
    engine.dispose()
    return template


class RetrainingSite:
    """The processes and what they share; `opened` makes one."""

    def __init__(self, folder: Path, template: Template, redis: RedisServer, *, label_studio: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.redis = folder, redis
        self._label_studio = label_studio
        shutil.copytree(template.data, folder / "data")
        self.settings = Settings.load(data_dir=folder / "data")
        self.environment = {
            f"{PREFIX}{name}": value
            for name, value in {
                "DATA_DIR": str(folder / "data"),
                "REDIS_URL": redis.url,
                "AUTH_PASSWORD": PASSWORD,
                "WEBHOOK_SECRET": "the secret of a test",
                "PATIENT_SECRET": PATIENT_SECRET.decode(),
                "MAMMOGRAM_ROOT": str(template.mammograms),
                "RECIPE": "smoke",
                "GATE_PRIMARY": "dice",
                "THREADS": "1",
            }.items()
        }
        self.backend = BackendProcess(self.environment, log=folder / "backend.log")
        self._has_backend = False
        self.engine = open_database(self.settings.database)
        self.registry = ModelRegistry(self.engine, self.settings.blobs)
        self.runs = Runs(self.engine)
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_backend(self) -> None:
        self._has_backend = True
        self.backend.start()

    def start_worker(self) -> subprocess.Popen[bytes]:
        """One more; a worker that was killed stays in the list."""
        own = {
            f"{PREFIX}LABEL_STUDIO_URL": self._label_studio,
            f"{PREFIX}LABEL_STUDIO_API_KEY": KEY,
        }
        given = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        with (self.folder / "worker.log").open("ab") as log:
            made = subprocess.Popen(
                [sys.executable, "-m", "worker"],
                env=given | self.environment | own,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(made)
        return made

    def queue(self) -> JobQueue:
        return JobQueue(redis_connection(self.redis.url))

    def service(self) -> RunService:
        """What `yolo-mlsam runs` and every backend ask for runs, and send lost ones on with."""
        return RunService.of(self.settings, self.engine, self.queue())

    def ask(self) -> str:
        """A run, as the command line asks for one; its id."""
        return self.service().start(PROJECT, recipe="smoke", reason="the test", trigger="cli").run

    def wait(self, run: str, until: Callable[[Run], bool], *, within: float) -> Run:
        """Look at a run until it is as wanted."""
        deadline = time.monotonic() + within
        while not until(found := self.runs.get(run)):
            assert time.monotonic() < deadline, (found, self.tail())
            time.sleep(LOOK_SECONDS)
        return found

    def wait_sending(self, run: str, until: Callable[[Run], bool], *, every: float, within: float) -> Run:
        """As `wait`, and lost runs are sent on meanwhile, as every backend does."""
        service, sent_at = self.service(), time.monotonic()

        def wanted(found: Run) -> bool:
            nonlocal sent_at
            if time.monotonic() - sent_at > every:
                service.requeue_lost()
                sent_at = time.monotonic()
            return until(found)

        return self.wait(run, wanted, within=within)

    def wait_for_job(self, run: str, *, within: float) -> Any:
        """Until the queue's job of a run has ended too."""
        deadline, queue = time.monotonic() + within, self.queue()
        while (status := queue.status(run)).state not in ("finished", "failed", "stopped", "unknown"):
            assert time.monotonic() < deadline, (status, self.tail())
            time.sleep(LOOK_SECONDS)
        return status

    def horses(self) -> list[psutil.Process]:
        """Processes that work on a job, whoever their worker was."""
        mine = self.processes()
        own = {each.pid for each in self.workers}
        return [each for each in mine if each.pid not in own and _is_worker(each)]

    def processes(self) -> list[psutil.Process]:
        """Every living process that was started with this site's settings, whoever its parent is now."""
        wanted = self.environment[f"{PREFIX}DATA_DIR"]
        return [each for each in psutil.process_iter() if _setting(each) == wanted]

    def tail(self) -> str:
        return (self.folder / "worker.log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """As a supervisor stops it: SIGTERM to the workers, which take a running job with them."""
        for each in self.workers:
            if each.poll() is None:
                each.send_signal(signal.SIGTERM)
        for each in self.workers:
            each.wait(timeout=60)

    def destroy(self) -> None:
        """Whatever a failed test has left."""
        for each in self.processes():
            each.kill()
        for worker in self.workers:
            worker.wait()
        if self._has_backend:
            self.backend.kill()
        self.engine.dispose()


@contextmanager
def opened(folder: Path, template: Template, redis: RedisServer) -> Iterator[RetrainingSite]:
    """A site with one worker; nothing of it is left at the end."""
    with served(_label_studio(template)) as url:
        site = RetrainingSite(folder, template, redis, label_studio=url)
        try:
            site.start_worker()
            yield site
        finally:
            site.destroy()


def _label_studio(template: Template) -> FakeLabelStudio:
    """What the corrections come from: all in `PROJECT`, the first ones once more in other projects."""
    fake = FakeLabelStudio()
    for project, events in (
        (PROJECT, template.events),
        (PROJECT + 1, template.events[:2]),
        (FEW_CORRECTIONS, template.events[:6]),
    ):
        fake.projects[project] = {"id": project, "label_config": labeling_config()}
        fake.tasks += [
            {"id": each["task"]["id"], "project": project, "data": each["task"]["data"]}
            | {"updated_at": each["annotation"]["updated_at"], "annotations": [each["annotation"]]}
            for each in events
        ]
    return fake


@contextmanager
def own_redis() -> Iterator[RedisServer]:
    """One that only this run has, and that may be killed."""
    folder = Path(tempfile.mkdtemp(prefix="mlsam-"))  # short: socket paths end at 107 bytes
    server = RedisServer(folder).start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "worker" in process.cmdline()
    except psutil.Error:
        return False


def _setting(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.environ().get(f"{PREFIX}DATA_DIR")
    except (psutil.Error, OSError):
        return None
