"""What doctor says of the queues, asked of a real Redis."""

from __future__ import annotations

import pytest
import redis
from rq import Worker

from cli.doctor.diagnosis import Diagnosis
from cli.doctor.inspection import Inspection
from cli.doctor.service_checks import check_queue
from mammo.broker import redis_connection
from mammo.runs.jobs import JobQueue, PrelabelProject, Retrain, lists_of
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
