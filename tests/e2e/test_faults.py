"""Annotators submit in the real Label Studio while our backend is killed at random: nothing is lost.

`pytest tests/e2e/test_faults.py --submits 1000` for the long run; it prints its figures (`-s`).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.demo.label_studio_server import wait_for_label_studio
from cli.demo.processes import free_port
from cli.demo.stack import Stack, environment_of
from mammo.annotations import AnnotationStore, reconcile
from mammo.database import event, open_database, reading
from mammo.labelstudio import LabelStudioClient, labeling_config
from mammo.settings import Settings
from tests.backend_process import BackendProcess
from tests.e2e.edits import delete_annotation, update_annotation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3000)]

ANNOTATORS = 3
UP_SECONDS = 6.0
"""Longest life of a backend once it answers."""


class Reaper:
    """Kills a backend at random moments and starts it anew, until it is told to stop."""

    def __init__(self, backend: BackendProcess, seed: int) -> None:
        self._backend = backend
        self._dice = random.Random(seed)
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._work: Future[None] | None = None
        self.kills = Counter[str]()

    def begin(self) -> None:
        self._work = self._pool.submit(self._reap)

    def end(self) -> None:
        """Returns when the backend is dead for good; raises what went wrong."""
        self._ending.set()
        assert self._work is not None
        self._work.result()
        self._backend.kill()

    def _reap(self) -> None:
        while not self._ending.is_set():
            if self._dice.random() < 0.2:
                when = "starting"
                self._ending.wait(self._dice.uniform(0.5, 5))
            else:
                when = "answering"
                self._backend.wait()
                self._ending.wait(self._dice.uniform(0.1, UP_SECONDS))
            self._backend.kill()
            self.kills[when] += 1
            self._backend.start()


@pytest.fixture
def client(stack: Stack) -> Iterator[LabelStudioClient]:
    wait_for_label_studio(stack.processes, stack.label_studio)
    with closing(LabelStudioClient(stack.label_studio.url, stack.label_studio.api_key)) as made:
        yield made


@pytest.fixture
def settings(stack: Stack, tmp_path: Path) -> Settings:
    changes = {"data_dir": tmp_path / "data", "port": free_port(), "prefetch_tasks": 0, "threads": 1}
    return stack.settings.model_copy(update=changes)


@pytest.fixture
def backend(settings: Settings, stack: Stack) -> Iterator[BackendProcess]:
    made = BackendProcess(environment_of(settings), log=stack.processes.log("killed-backend"))
    made.start()
    made.wait(serves=True)
    yield made
    made.kill()


@pytest.fixture
def project(client: LabelStudioClient, settings: Settings, backend: BackendProcess) -> Iterator[int]:
    made = client.create_project("faults", labeling_config())
    client.connect_backend(
        made,
        backend.url,
        user=settings.auth_user,
        password=settings.auth_password.get_secret_value(),
        webhook_secret=settings.webhook_secret.get_secret_value(),
    )
    yield made
    client.call("DELETE", f"/api/projects/{made}/")


def box(number: int) -> dict:
    """A region that is no other annotation's."""
    return {
        "id": f"r{number}",
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "original_width": 4000,
        "original_height": 4000,
        "value": {
            "x": number % 90,
            "y": number // 90 % 90,
            "width": 5,
            "height": 5,
            "rotation": 0,
            "rectanglelabels": ["cluster"],
        },
    }


def work(stack: Stack, tasks: list[int], seed: int) -> Counter[str]:
    """One annotator: submits every task; changes some annotations again, skips and deletes a few."""
    dice = random.Random(seed)
    done = Counter[str]()
    with closing(LabelStudioClient(stack.label_studio.url, stack.label_studio.api_key)) as client:
        for task in tasks:
            annotation = client.annotate(task, [box(task)], lead_time=dice.uniform(5, 60))
            done["created"] += 1
            drawn = dice.random()
            if drawn < 0.08:
                update_annotation(client, annotation, [box(task), box(task + 1)])
                done["changed"] += 1
            elif drawn < 0.12:
                delete_annotation(client, annotation)
                done["deleted"] += 1
    return done


def truth(client: LabelStudioClient, project: int) -> dict[int, tuple[int, list[dict]]]:
    """Task and regions of each annotation that Label Studio has."""
    return {
        each["id"]: (task["id"], each["result"])
        for task in client.tasks(project, all_fields=True)
        for each in task["annotations"]
    }


def test_no_submit_is_lost_and_none_counts_twice_however_often_the_backend_is_killed(
    stack, client, settings, backend, project, request, record_property
):
    submits = request.config.getoption("--submits")
    tasks = client.import_tasks(project, [{"image": f"/data/local-files/?d={n}.png"} for n in range(submits)])
    reaper = Reaper(backend, seed=submits)
    reaper.begin()
    began = time.monotonic()
    with ThreadPoolExecutor(ANNOTATORS) as pool:
        shares = [tasks[one::ANNOTATORS] for one in range(ANNOTATORS)]
        done = sum(pool.map(work, [stack] * ANNOTATORS, shares, range(ANNOTATORS)), Counter[str]())
    seconds = time.monotonic() - began
    reaper.end()
    assert done["created"] == submits
    assert sum(reaper.kills.values()) >= 3

    engine = open_database(settings.database)
    with closing(AnnotationStore(engine)) as store:
        with reading(engine) as connection:
            events = sa.select(sa.func.count()).where(event.c.project == project)
            by_webhook = event.c.headers.is_not(None)
            told = connection.scalar(events.where(by_webhook, event.c.action.like("ANNOTATION%")))
            fetched = connection.scalar(events.where(~by_webhook))
        report = reconcile(project, client=client, store=store, engine=engine)
        view = store.corrections(project)
        again = reconcile(project, client=client, store=store, engine=engine, complete=True)
    engine.dispose()

    sent = done.total()
    found = report.missing + report.stale + report.deleted
    for name, value in {
        "submits": submits, "events_sent": sent, "events_told": told, "events_fetched_at_start_up": fetched,
        "kills": dict(reaper.kills), "found_at_the_end": found, "seconds": round(seconds, 1),
    }.items():  # fmt: skip
        record_property(name, value)
        print(f"{name}={value}")
    assert 0 < told < sent, "some webhooks arrived and some met a dead backend"
    expected = truth(client, project)
    assert len(expected) == submits - done["deleted"]
    assert len(view) == len({each.annotation_id for each in view})
    assert {each.annotation_id: (each.task_id, each.result) for each in view} == expected
    assert (again.missing, again.stale, again.deleted) == (0, 0, 0)
