"""One scheduler watches all queues, whatever its worker takes."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from mammo.runs.jobs import JobQueue, redis_connection
from worker.scheduler import OneScheduler


@pytest.fixture
def connection(redis_url):
    made = redis_connection(redis_url)
    yield made
    made.close()


def test_of_two_only_one_watches_and_the_other_takes_over(connection):
    first, second = OneScheduler(connection), OneScheduler(connection)
    assert first.acquire_locks() == {"light", "prelabel", "predict", "retrain", "train"}
    assert second.acquire_locks() == set()
    assert JobQueue(connection).condition().schedulers == 1
    first.release_locks()
    assert JobQueue(connection).condition().schedulers == 0
    assert len(second.acquire_locks()) == 5


def test_a_killed_ones_lock_ends_within_two_minutes(connection):
    OneScheduler(connection).acquire_locks()
    assert 0 < connection.ttl("rq:scheduler-lock:yolo-mlsam") <= 61


def test_a_broker_that_stays_away_ends_it_in_plain_words(private_redis, tmp_path):
    server = private_redis()
    scheduler = OneScheduler(redis_connection(server.url, patience=0))
    scheduler.acquire_locks()
    server.stop()
    file = logging.FileHandler(tmp_path / "log")
    scheduler.log.addHandler(file)
    try:
        process = scheduler.start()
        process.join(60)
    finally:
        scheduler.log.removeHandler(file)
        file.close()
        server.start()
    assert process.exitcode == 0
    said = (tmp_path / "log").read_text()
    assert "scheduled jobs wait while Redis is away" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["light", "predict", "train", "retrain"])
def test_a_planned_job_comes_into_its_queue_when_it_is_time(connection, name):
    queue = Queue(name, connection=connection, serializer=JSONSerializer)
    job = queue.enqueue_at(datetime.now(UTC) - timedelta(seconds=5), "builtins.len", [])
    scheduler = OneScheduler(connection, serializer=JSONSerializer)
    scheduler.acquire_locks()
    scheduler.enqueue_scheduled_jobs()
    assert queue.job_ids == [job.id]
