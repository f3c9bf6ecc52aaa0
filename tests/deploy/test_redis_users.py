"""deploy/redis/users.acl on a real Redis: our user does all that we do, and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import redis
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from mammo.broker import redis_connection
from mammo.models.champion_announcements import ChampionListener, announce_champion
from mammo.runs.jobs import LIGHT, PRELABEL, QUEUES, JobQueue
from mammo.runs.payloads import PrelabelProject, Retrain
from tests.waiting import until
from worker import health
from worker.stoppable_worker import make_worker

ROOT = Path(__file__).parents[2]
LENGTH_OF_A_QUEUE = """
    local kind = redis.call('type', KEYS[1]).ok
    if kind == 'zset' then return redis.call('zcard', KEYS[1]) end
    return redis.call('llen', KEYS[1])
"""
"""As KEDA asks."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What `make env` writes."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/make_env.py", folder], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "secrets"


@pytest.fixture
def server(made, private_redis, tmp_path):
    """With the committed users, and one more who may read what was refused."""
    users = tmp_path / "users.acl"
    users.write_text((made / "redis_users.acl").read_text() + "user admin on >admin ~* &* +@all\n")
    return private_redis(user="yolo-mlsam", password=(made / "redis_password").read_text(), users=users)


def as_user(server, user: str, password: str) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.socket), username=user, password=password)


def refused(server) -> list[str]:
    """What Redis refused to our user; redis-py asks for more than an old server knows, which is no refusal."""
    log = as_user(server, "admin", "admin").acl_log()
    return [f"{each['object']} ({each['reason']})" for each in log]


def prelabel(payload: dict) -> dict:
    time.sleep(payload.get("seconds", 0))
    return payload


def fail(payload: dict) -> None:
    raise ValueError("as it should")


def run_worker(url: str, queues: tuple[str, ...], burst: bool) -> None:
    jobs = {PRELABEL: prelabel, "worker.jobs.retrain": fail}
    make_worker(redis_connection(url), jobs=jobs, queues=queues).work(burst=burst)


def work(url: str, queues: tuple[str, ...], *, burst: bool = True) -> BaseProcess:
    """A worker in a fresh process: a fork of this one would have the locks of threads that it has not."""
    process = multiprocessing.get_context("spawn").Process(target=run_worker, args=(url, queues, burst))
    process.start()
    return process


def test_a_job_goes_from_the_queue_through_a_worker_and_back_as_our_user(server, monkeypatch):
    queue = JobQueue(redis_connection(server.url))
    job = queue.enqueue_prelabel(PrelabelProject(3))
    assert not queue.enqueue_prelabel(PrelabelProject(3)).created
    lost = queue.enqueue_retrain(Retrain(4, "smoke", "a test"))
    dropped = queue.enqueue_prelabel(PrelabelProject(5))
    assert queue.drop(dropped.job_id)
    assert queue.condition().waiting == 2

    process = work(server.url, QUEUES)
    process.join(60)
    assert process.exitcode == 0
    assert queue.status(job.job_id).result == {
        "project": 3,
        "model_version": None,
        "refresh": False,
        "after": 0,
    }
    assert queue.status(lost.job_id).error == "ValueError: as it should"
    assert queue.active(4) is None
    assert queue.condition().failed == 1

    monkeypatch.setenv("YOLO_MLSAM_REDIS_URL", server.url)
    assert health.main() == 1  # the worker has gone, and Redis says so
    assert refused(server) == []


def test_a_stopped_and_a_lost_job_are_queued_again_as_our_user(server):
    connection = redis_connection(server.url)
    queue = JobQueue(connection)
    job = queue.enqueue_prelabel(PrelabelProject(3)).job_id
    connection.hset(
        f"rq:job:{job}", "data", JSONSerializer.dumps([PRELABEL, None, [], {"payload": {"seconds": 60}}])
    )
    process = work(server.url, QUEUES, burst=False)
    await_state(queue, job, "started")
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    await_state(queue, job, "queued")

    process = work(server.url, QUEUES, burst=False)
    await_state(queue, job, "started")
    process.kill()  # its job dies with it
    process.join(60)
    started = StartedJobRegistry("predict", connection=connection, serializer=JSONSerializer)
    started.cleanup(timestamp=time.time() + 3600)  # as a worker's maintenance does, an hour later
    await_state(queue, job, "queued")
    failed = FailedJobRegistry("predict", connection=connection, serializer=JSONSerializer)
    assert failed.get_job_ids() == []
    assert refused(server) == []


def await_state(queue: JobQueue, job: str, state: str) -> None:
    until(lambda: queue.status(job).state == state, says=lambda: queue.status(job))


def test_a_worker_of_one_queue_and_of_one_list_works_as_our_user(server):
    """RQ takes jobs of a single list by other commands."""
    process = work(server.url, (LIGHT,), burst=False)
    queue = JobQueue(redis_connection(server.url))
    until(lambda: queue.condition().workers)
    time.sleep(0.5)  # it waits in its queue
    assert process.is_alive()
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 0
    assert refused(server) == []


def test_a_new_champion_is_announced_and_heard_as_our_user(server):
    heard: list[None] = []
    listener = ChampionListener(redis_connection(server.url), lambda: heard.append(None))
    listener.start()
    until(lambda: heard)  # it listens
    assert announce_champion(redis_connection(server.url), "m2")
    until(lambda: len(heard) >= 2)
    listener.stop()
    assert refused(server) == []


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "CONFIG GET dir",
        "CONFIG SET dir /tmp",
        "ACL LIST",
        "ACL SETUSER x on nopass +@all",
        "SAVE",
        "SHUTDOWN",
        "MONITOR",
        "REPLICAOF localhost 1",
        "MODULE LIST",
        "CLIENT LIST",
        "CLIENT KILL TYPE normal",
        "SCRIPT FLUSH",
        "EVAL return(1) 0",
        "FUNCTION LIST",
        "GET somebody-elses",
        "SET somebody-elses 1",
        "PUBLISH somebody-elses 1",
        "SUBSCRIBE somebody-elses",
        "PSUBSCRIBE *",
    ],
)
def test_our_user_may_do_nothing_else(server, command):
    with pytest.raises(redis.exceptions.NoPermissionError):
        redis.Redis.from_url(server.url).execute_command(*command.split())


def test_nobody_does_anything_without_a_password(server):
    for connection in (
        redis.Redis(unix_socket_path=str(server.socket)),
        as_user(server, "yolo-mlsam", "wrong"),
        as_user(server, "default", ""),
    ):
        with pytest.raises(redis.exceptions.AuthenticationError):
            connection.ping()


def test_keda_reads_the_length_of_a_queue_and_changes_none(server, made):
    JobQueue(redis_connection(server.url)).enqueue_retrain(Retrain(4, "smoke", "a test"))
    scaler = as_user(server, "scaler", (made / "redis_scaler_password").read_text())
    assert scaler.eval(LENGTH_OF_A_QUEUE, 1, "rq:queue:train") == 1
    for script, key in (
        ("return redis.call('del', KEYS[1])", "rq:queue:train"),
        ("return redis.call('lrange', KEYS[1], 0, -1)", "rq:queue:train"),
        ("return redis.call('llen', KEYS[1])", "yolo-mlsam:retrain:4"),
    ):
        with pytest.raises(redis.exceptions.ResponseError, match=r"NOPERM|permission|can't run|ACL"):
            scaler.eval(script, 1, key)
