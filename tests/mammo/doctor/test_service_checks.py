"""What doctor says of the queues, asked of a real Redis."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from rq import Worker

from mammo.broker import redis_connection
from mammo.doctor.diagnosis import Diagnosis
from mammo.doctor.inspection import Inspection
from mammo.doctor.service_checks import check_decoders, check_queue, check_storage
from mammo.runs.jobs import JobQueue, lists_of
from mammo.runs.payloads import PrelabelProject, Retrain
from mammo.site import Site


@pytest.fixture
def connection(redis_url: str) -> redis.Redis:
    return redis_connection(redis_url)


def said(redis_url: str) -> dict[str, Diagnosis]:
    with Site.load(redis_url=redis_url) as site:
        return {each.check: each for each in check_queue(Inspection(site=site))}


def test_a_queue_that_no_worker_takes_from_is_named_with_its_remedy(
    redis_url: str, connection: redis.Redis
) -> None:
    queue = JobQueue(connection)
    queue.enqueue_retrain(Retrain(1, "demo", "a"))
    queue.enqueue_prelabel(PrelabelProject(1))
    worker = Worker(lists_of(["predict", "light"]), connection=connection)
    worker.register_birth()
    found = said(redis_url)["worker"]
    worker.register_death()
    assert (found.state, found.says) == ("broken", "no worker takes 1 job(s) in train")
    assert "yolo-mlsam work --queues train" in found.remedy


def test_idle_workers_are_well(redis_url: str, connection: redis.Redis) -> None:
    worker = Worker(lists_of(["train"]), connection=connection)
    worker.register_birth()
    found = said(redis_url)["worker"]
    worker.register_death()
    assert (found.state, found.says) == ("ok", "1 worker(s), 0 job(s) waiting")


def test_a_redis_that_refuses_writes_is_broken_and_its_remedy_is_named(private_redis) -> None:
    server = private_redis()
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("maxmemory", "1")
    found = said(server.url)["redis"]
    assert (found.state, "has no memory left" in found.says) == ("broken", True)
    assert found.remedy == "raise its `maxmemory`"


def test_a_data_folder_that_others_may_access_is_broken_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    tmp_path.chmod(0o755)
    with Site.load(data_dir=tmp_path) as site:
        (found,) = check_storage(Inspection(site=site))
    assert (found.check, found.state) == ("data-folder", "broken")
    assert "chmod 700" in found.remedy


@pytest.mark.parametrize("reason", [None, "libseccomp.so.2 is not installed"])
def test_decoders_that_cannot_be_locked_are_a_warning_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, reason: str | None
) -> None:
    monkeypatch.setattr("mammo.doctor.service_checks.unlocked", lambda: reason)
    with Site.load() as site:
        (found,) = check_decoders(Inspection(site=site))
    assert (found.check, found.state) == ("decoders", "ok" if reason is None else "warning")
    assert reason is None or reason in found.says
