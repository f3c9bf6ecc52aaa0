"""A person stops an import that a real worker makes from a real PACS, and continues it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.demo.walk import Walk
from mammo.pacs import Query
from mammo.pacs.import_order import ImportOrder
from mammo.runs.jobs import import_job
from mammo.runs.payloads import ImportFromPacs
from mammo.settings import PREFIX
from mammo.site import Site
from tests.e2e.test_pacs import Command, call, patient, walk  # noqa: F401 - fixtures
from tests.orthanc_server import OrthancServer
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def worker(**settings: object) -> Iterator[None]:
    """A worker with the settings of this process and these."""
    environment = os.environ | {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen([sys.executable, "-m", "worker"], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def test_an_import_ends_between_two_images_and_goes_on_from_there(
    walk: Walk,  # noqa: F811
    call: Command,  # noqa: F811
    orthanc: OrthancServer,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    orthanc.push(*patient(tmp_path / "patient"))
    monkeypatch.setenv(
        f"{PREFIX}REDIS_URL", redis_url
    )  # so that the stack's worker, which has no PACS, takes nothing
    with Site.load() as site:
        order = ImportOrder(query=Query(first_day="20000101"), priors=False, limit=100)
        number = site.pacs_imports.add(order, project=walk.project, actor="ann")
        site.queue.enqueue_pacs_import(ImportFromPacs(walk.project, number))

        def status(words: str) -> bool:
            return words in f"{site.queue.status(import_job(number))}"

        with worker(pacs_bytes_per_second=300_000, pacs_connections=1):
            until(lambda: status("1 of 4 images"), seconds=120)
            assert "is stopped" in call("pacs", "stop", str(number))
            until(lambda: status("'finished'"), seconds=120)
        stopped = site.pacs_imports.get(number)
        assert (stopped.state, stopped.problem) == ("stopped", None)
        assert 0 < (stopped.outcome or {})["images_new"] < 4
        assert list(walk.client.tasks(walk.project)) == [], "no part of a study is a task"
        call("pacs", "continue", str(number))
        with worker():
            until(lambda: site.pacs_imports.get(number).state == "finished", seconds=120)
        ended = site.pacs_imports.get(number).outcome or {}
        assert (ended["images_new"] + ended["images_present"], ended["tasks_new"]) == (4, 4)
        assert ended["images_present"] >= (stopped.outcome or {})["images_new"]
        actions = [each.action for each in site.access.trail.newest(limit=20)]
        assert {"import stopped", "import continued"} <= set(actions)
