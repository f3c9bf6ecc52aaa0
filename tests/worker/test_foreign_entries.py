"""What is no job's id ends no worker: it is removed and said, and the jobs behind it are run. With a real Redis."""

from __future__ import annotations

import logging
import multiprocessing
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from mammo.broker import redis_connection
from mammo.errors import StorageUnavailable
from mammo.runs.jobs import QUEUES, JobQueue
from worker.stoppable_worker import make_worker

OURS = "ours.touch"
NOT_UTF_8 = b"\xff\xfe"


def touch(path: str) -> None:
    Path(path).touch()


@pytest.fixture
def connection(redis_url):
    made = redis_connection(redis_url)
    yield made
    made.close()


@pytest.fixture
def queue(connection):
    return Queue("train", connection=connection, serializer=JSONSerializer)


@pytest.fixture
def work_off(redis_url, tmp_path):
    """Runs a worker in a process of its own until the queues are empty; gives what it logged."""

    def run(*, queues=QUEUES) -> str:
        def process() -> None:
            logging.getLogger("rq.worker").addHandler(logging.FileHandler(tmp_path / "log"))
            make_worker(redis_connection(redis_url), jobs={OURS: touch}, queues=queues).work(burst=True)

        worker = multiprocessing.get_context("fork").Process(target=process)
        worker.start()
        worker.join(60)
        assert worker.exitcode == 0
        return (tmp_path / "log").read_text()

    return run


def assert_works(queue, work_off, tmp_path, *, queues=QUEUES) -> str:
    """A job behind the entry is run; returns the worker's log."""
    job = queue.enqueue_call(OURS, args=[str(tmp_path / "ran")])
    log = work_off(queues=queues)
    assert (tmp_path / "ran").exists(), log
    assert JobQueue(queue.connection).status(job.id).state == "finished"
    assert "unhandled exception" not in log
    return log


@pytest.mark.parametrize("queues", [QUEUES, ("train",)], ids=["of-several-queues", "of-one-queue"])
@pytest.mark.parametrize("entry", [NOT_UTF_8, b"a job", b"../../etc", b"x" * 10_000 + b"\0"])
def test_an_entry_of_a_queue_that_is_no_id_ends_no_worker(queue, work_off, tmp_path, entry, queues):
    queue.connection.rpush(queue.key, entry)
    log = assert_works(queue, work_off, tmp_path, queues=queues)
    assert "is no job's id" in log
    assert max(len(line) for line in log.splitlines()) < 500
    assert not queue.connection.exists(queue.key, queue.intermediate_queue_key)


@pytest.mark.parametrize("registry", [StartedJobRegistry, FailedJobRegistry])
@pytest.mark.parametrize("entry", [NOT_UTF_8, b"a:b:c", b"no id"])
def test_an_entry_of_a_registry_that_is_no_id_ends_no_worker(queue, work_off, tmp_path, registry, entry):
    key = registry("train", connection=queue.connection, serializer=JSONSerializer).key
    queue.connection.zadd(key, {entry: 1})
    assert_works(queue, work_off, tmp_path)
    assert entry not in queue.connection.zrange(key, 0, -1)


@pytest.mark.parametrize(
    "key", ["rq:workers", "rq:workers:train", "rq:groups", "rq:queue:train:intermediate", "rq:rl:keys"]
)
def test_a_name_that_is_not_utf_8_ends_no_worker(queue, work_off, tmp_path, key):
    add = queue.connection.rpush if key.endswith("intermediate") else queue.connection.sadd
    add(key, NOT_UTF_8)
    assert_works(queue, work_off, tmp_path, queues=("train",))


def test_a_record_of_another_type_ends_no_worker(queue, work_off, tmp_path):
    queue.connection.set("rq:job:odd", "not a hash")
    queue.connection.rpush(queue.key, "odd")
    assert_works(queue, work_off, tmp_path)


def test_a_record_with_a_field_that_is_not_utf_8_ends_no_worker(queue, work_off, tmp_path):
    queue.connection.hset("rq:job:odd", mapping={NOT_UTF_8: "x", "data": "[]"})
    queue.connection.rpush(queue.key, "odd")
    assert "refused: its record cannot be read" in assert_works(queue, work_off, tmp_path)


def test_until_a_worker_has_removed_it_the_queue_is_said_to_be_unreadable(queue, work_off, tmp_path):
    queue.connection.sadd("rq:workers:train", NOT_UTF_8)
    jobs = JobQueue(queue.connection)
    with pytest.raises(StorageUnavailable, match="none of the job queue's") as caught:
        jobs.condition()
    assert caught.value.code == "queue_unreadable"
    assert_works(queue, work_off, tmp_path)
    assert jobs.condition().waiting == 0


def test_what_rq_can_read_is_left_alone(queue, work_off, tmp_path, connection: redis.Redis):
    """Workers of another program have names of their own."""
    connection.sadd("rq:workers", "rq:worker:näme with spaces")
    connection.hset("rq:worker:näme with spaces", "birth", "2026-01-01T00:00:00Z")
    queue.connection.rpush(queue.key, NOT_UTF_8)
    assert_works(queue, work_off, tmp_path)
    assert connection.sismember("rq:workers", "rq:worker:näme with spaces")


def test_a_command_that_cannot_be_read_ends_no_worker(redis_url):
    worker = make_worker(redis_connection(redis_url), jobs={})
    for data in (NOT_UTF_8, b"[]", b"{", b'{"command": 1}'):
        worker.handle_payload({"type": "message", "data": data})
