"""A disk that is full and a database that is away, against the real backend over real HTTP."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import orjson
import psutil
import pytest
import sqlalchemy as sa

from mammo.database import event, open_database, reading, revision
from mammo.site import Site
from tests.backend_process import BackendProcess
from tests.postgres_server import PostgresServer
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)

ENVIRONMENT = {
    "YOLO_MLSAM_AUTH_PASSWORD": "p",
    "YOLO_MLSAM_WEBHOOK_SECRET": "s",
    "YOLO_MLSAM_RUNTIME": "torch",
}


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[BackendProcess]:
    """A backend with its model loaded: what it writes at its start is written."""
    backend = BackendProcess({**ENVIRONMENT, "YOLO_MLSAM_DATA_DIR": str(folder / "data"), **settings})
    backend.start()
    try:
        backend.wait(serves=True)
        yield backend
    finally:
        backend.kill()


def body(number: int, *, padding: int = 0) -> bytes:
    """An annotation as its webhook tells it."""
    annotation = {
        "id": number,
        "task": number,
        "result": [],
        "was_cancelled": False,
        "updated_at": "2026-11-27T08:00:00Z",
        "completed_by": 1,
    }
    told = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "task": {"id": number, "data": {}}}
    return orjson.dumps({**told, "annotation": annotation, "padding": "x" * padding})


def send_all(backend: BackendProcess, numbers: range) -> set[int]:
    """Sixteen at once; the status codes."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(backend.send, [body(number) for number in numbers]))
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["error"] == "storage_unavailable"
            assert int(answer.headers["Retry-After"]) > 0
    return {answer.status_code for answer in answers}


def kept(url: str) -> tuple[list[int], list[int]]:
    """Annotations of the events that are kept whole, and of the revisions that were made of them."""
    engine = open_database(url)
    with reading(engine) as connection:
        if engine.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        bodies = connection.scalars(sa.select(event.c.body)).all()
        revisions = connection.scalars(sa.select(revision.c.annotation)).all()
    engine.dispose()
    return sorted(orjson.loads(each)["annotation"]["id"] for each in bodies), sorted(revisions)


def test_a_disk_that_takes_no_more_is_answered_503_and_nothing_is_half_written(tmp_path: Path) -> None:
    with running(tmp_path) as backend:
        assert send_all(backend, range(1, 17)) == {201}
        process = psutil.Process(backend.pid)
        _, hard = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (4096, hard))  # each write behind the first page fails
        assert send_all(backend, range(17, 49)) == {503}
        assert backend.send(body(49, padding=5 * 2**20)).status_code == 503
        assert backend.health()["problem"] == "storage_unavailable"
        assert backend.health()["status"] == "UP"
        process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))
        until(lambda: backend.health()["problem"] is None)  # nothing is sent meanwhile
        assert send_all(backend, range(17, 33)) == {201}
        again = backend.send(body(49, padding=5 * 2**20))
        assert (again.status_code, again.json()["duplicate"]) == (201, False)
    expected = [*range(1, 33), 49]
    assert kept(f"sqlite:///{tmp_path}/data/yolo-mlsam.db") == (expected, expected)


def test_a_backend_starts_on_a_full_disk_serves_its_champion_and_follows_a_rollback(small_disk) -> None:
    data = small_disk.folder / "data"
    with Site.load(creates=True, data_dir=data) as site:  # as an earlier backend left it
        before = site.registry.champion()
        files = site.registry.files(before.version, into=site.settings.models)
        manifest = site.registry.manifest(before.version)
        own = {key: value for key, value in manifest.items() if key not in ("version", "created_at")}
        other = site.registry.register(
            detector=files.detector, segmenter=files.segmenter, manifest={**own, "threshold": 0.31}
        )
        site.registry.promote(other, expected_epoch=before.epoch, reason="t")
        site.registry.files(other, into=site.settings.models)
    small_disk.fill()
    with running(small_disk.folder) as backend:
        health = backend.health()
        assert (health["model_version"], health["problem"]) == (other, "storage_unavailable")
        refused = backend.send(body(1))
        assert (refused.status_code, "is full" in refused.json()["message"]) == (503, True)
        with Site.load(data_dir=data) as site:  # what `yolo-mlsam models rollback` does
            site.make_room()
            site.registry.roll_back("full")
        until(lambda: backend.health()["model_version"] == before.version)
        small_disk.make_room()
        until(lambda: backend.health()["problem"] is None)
        assert backend.send(body(1)).status_code == 201
    assert kept(f"sqlite:///{data}/yolo-mlsam.db") == ([1], [1])


@pytest.fixture
def postgres_alone() -> Iterator[PostgresServer]:
    """A server that this test may stop."""
    server = PostgresServer().start()
    yield server
    server.stop()


def test_a_database_that_is_away_is_answered_503_until_it_is_back(
    tmp_path: Path, postgres_alone: PostgresServer
) -> None:
    url = postgres_alone.new_database()
    with running(tmp_path, YOLO_MLSAM_DATABASE_URL=url) as backend:
        assert send_all(backend, range(1, 17)) == {201}
        postgres_alone.stop()
        assert send_all(backend, range(17, 33)) == {503}
        assert backend.health()["problem"] == "storage_unavailable"
        assert backend.health()["model_version"], "predictions go on"
        postgres_alone.start()
        until(lambda: backend.health()["problem"] is None)
        assert send_all(backend, range(17, 25)) == {201}
    assert kept(url) == (list(range(1, 25)), list(range(1, 25)))
