import signal
import subprocess
import sys
import time

import psutil
import pytest
from rq import Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from mammo.broker import redis_connection
from mammo.runs.jobs import FORMER_NAMES
from tests.waiting import until
from worker.stoppable_worker import CLEANING_SECONDS, make_worker


@pytest.fixture
def connection(redis_url):
    made = redis_connection(redis_url)
    yield made
    made.close()


def start(redis_url, *arguments):
    return subprocess.Popen([sys.executable, "-m", "tests.worker.slow_job", redis_url, *arguments])


def test_a_stopped_worker_goes_at_once_and_the_next_one_does_its_job(redis_url, connection, tmp_path):
    queue = Queue("train", connection=connection, serializer=JSONSerializer)
    job = queue.enqueue_call(
        "tests.worker.slow_job.slow", kwargs={"folder": str(tmp_path)}, timeout=-1, retry=Retry(max=3)
    )
    worker = start(redis_url)
    until((tmp_path / "started").exists)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=30) == 0
    assert queue.job_ids == [job.id]
    assert job.get_status() == "queued"

    assert start(redis_url, "--burst").wait(timeout=60) == 0
    done = Job.fetch(job.id, connection=connection, serializer=JSONSerializer)
    assert done.get_status() == "finished"
    assert done.return_value() == "second run"


def test_a_killed_workers_job_does_not_go_on_beside_its_next_run(redis_url, connection, tmp_path):
    queue = Queue("train", connection=connection, serializer=JSONSerializer)
    queue.enqueue_call("tests.worker.slow_job.slow", kwargs={"folder": str(tmp_path)}, timeout=-1)
    worker = start(redis_url)
    until((tmp_path / "started").exists)
    (horse,) = psutil.Process(worker.pid).children()
    worker.kill()
    worker.wait(timeout=30)
    horse.wait(timeout=30)


def test_what_was_asked_for_under_a_queues_former_name_is_done(redis_url, connection):
    old = [Queue(name, connection=connection, serializer=JSONSerializer) for name in FORMER_NAMES.values()]
    jobs = [queue.enqueue_call("builtins.len", args=([1, 2],), timeout=-1) for queue in old]
    assert start(redis_url, "--burst").wait(timeout=60) == 0
    assert [job.get_status() for job in jobs] == ["finished"] * 2


def test_an_idle_worker_stops_cleanly(redis_url, connection):
    worker = start(redis_url)
    until(lambda: connection.scard("rq:workers") == 1)
    time.sleep(0.2)  # it has told Redis of itself and goes on to wait for jobs
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=30) == 0
    assert connection.scard("rq:workers") == 0


def test_a_worker_that_is_killed_while_it_looks_for_lost_jobs_keeps_others_from_it_for_seconds_only(
    connection,
):
    killed, colleague = make_worker(connection, jobs={}), make_worker(connection, jobs={})
    for its, theirs in zip(killed.queues, colleague.queues, strict=True):
        assert its.acquire_maintenance_lock()
        assert not theirs.acquire_maintenance_lock()
        assert 0 < connection.ttl(its.registry_cleaning_key) <= CLEANING_SECONDS
        its.release_maintenance_lock()
        assert theirs.acquire_maintenance_lock()
