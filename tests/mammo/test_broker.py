"""Whatever is the matter with Redis, a request learns it within two seconds, and what it is told is true."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from mammo.broker import explain, is_away, redis_connection
from mammo.errors import InvalidSettings, StorageUnavailable
from mammo.runs.jobs import JobQueue
from mammo.runs.payloads import PrelabelProject, Retrain

LIMIT = 6.0
"""Seconds in which a request is answered, whatever Redis does: the two that are promised, and four for a busy machine.

Without a bound it waits for as long as Redis hangs."""

OPERATIONS: dict[str, Callable[[JobQueue], Any]] = {
    "enqueue": lambda queue: queue.enqueue_retrain(Retrain(1, "demo", "a")),
    "prelabel": lambda queue: queue.enqueue_prelabel(PrelabelProject(1)),
    "drop": lambda queue: queue.drop("retrain-1-0"),
    "status": lambda queue: queue.status("retrain-1-0"),
    "active": lambda queue: queue.active(1),
    "condition": lambda queue: queue.condition(),
    "check": lambda queue: queue.check_writable(),
}
WRITES = ("prelabel", "check")
"""Operations that write whatever was there before."""


def failure(queue: JobQueue, operation: str) -> StorageUnavailable:
    """What an operation raises, in time."""
    began = time.monotonic()
    with pytest.raises(StorageUnavailable) as caught:
        OPERATIONS[operation](queue)
    assert time.monotonic() - began < LIMIT
    return caught.value


@pytest.fixture
def server(private_redis):
    return private_redis()


@pytest.fixture
def admin(server) -> Iterator[redis.Redis]:
    made = redis.Redis.from_url(server.url)
    yield made
    made.close()


@pytest.mark.parametrize("is_connected", [True, False], ids=["connected-before", "new-connection"])
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_redis_that_hangs_is_waited_for_less_than_two_seconds(server, operation, is_connected):
    queue = JobQueue(redis_connection(server.url))
    if is_connected:
        queue.condition()
    server.hang()
    error = failure(queue, operation)
    assert error.code == "queue_unavailable"
    assert "not known whether it has done what was asked" in str(error)


def test_what_was_sent_to_a_redis_that_hung_is_there_once_however_often_it_is_asked_for(server):
    queue = JobQueue(redis_connection(server.url))
    queue.condition()
    server.hang()
    for _ in range(3):
        failure(queue, "enqueue")
    server.go_on()
    first = queue.enqueue_retrain(Retrain(1, "demo", "a"))
    assert queue.condition().waiting == 1
    assert queue.active(1) == first.job_id


@contextmanager
def slow_server(seconds: float) -> Iterator[str]:
    """Answers each command with an empty bulk after `seconds`; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(client: socket.socket) -> None:
            with client:
                try:
                    while data := client.recv(65536):
                        time.sleep(seconds)
                        client.sendall(b"$-1\r\n" * max(data.count(b"*"), 1))
                except OSError:
                    return

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0?protocol=2"


def test_an_operation_of_many_slow_commands_ends_in_time_too():
    with slow_server(0.3) as url:
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            OPERATIONS["enqueue"](JobQueue(redis_connection(url)))
        assert time.monotonic() - began < LIMIT


@pytest.mark.parametrize("operation", WRITES)
def test_a_redis_without_memory_is_said_to_be_full_and_not_to_be_away(server, admin, operation):
    admin.config_set("maxmemory-policy", "noeviction")
    admin.config_set("maxmemory", "1")
    error = failure(JobQueue(redis_connection(server.url)), operation)
    assert (error.code, "has no memory left" in str(error)) == ("queue_refused", True)
    assert JobQueue(redis_connection(server.url)).condition().waiting == 0


def test_a_redis_whose_disk_is_full_is_said_to_refuse_writes(private_redis):
    server = private_redis(options=["--dbfilename", "there"])
    (server.folder / "there").mkdir()  # whatever is renamed to it fails, as on a full disk
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("save", "1 1")
        admin.set("a", 1)
        admin.bgsave()
        for _ in range(100):
            if admin.info("persistence")["rdb_last_bgsave_status"] == "err":
                break
            time.sleep(0.05)
        error = failure(JobQueue(redis_connection(server.url)), "check")
        admin.config_set("save", "")  # else it refuses to stop
    assert (error.code, "cannot save to its disk" in str(error)) == ("queue_refused", True)


@pytest.mark.parametrize("operation", WRITES)
def test_a_replica_is_said_to_be_one_and_can_be_read(server, admin, operation):
    admin.replicaof("127.0.0.1", 1)
    error = failure(JobQueue(redis_connection(server.url)), operation)
    assert (error.code, "is a replica" in str(error)) == ("queue_refused", True)
    assert JobQueue(redis_connection(server.url)).condition().waiting == 0


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
@pytest.mark.parametrize("given", ["", "?password=wrong-1"])
def test_a_wrong_password_is_named_and_not_quoted(private_redis, operation, given):
    server = private_redis(password="right-1")
    url = f"unix://{server.socket}{given}"
    error = failure(JobQueue(redis_connection(url)), operation)
    assert (error.code, "refuses user or password" in str(error)) == ("queue_refused", True)
    assert "wrong-1" not in str(error)


def test_a_user_who_may_not_do_enough_is_told_what_is_needed(server, admin):
    admin.acl_setuser("guest", enabled=True, passwords=["+word"], commands=["+get"], keys=["rq:*"])
    url = f"unix://guest@{server.socket}?password=word"
    error = failure(JobQueue(redis_connection(url)), "condition")
    assert (error.code, "`yolo-mlsam:*`" in str(error)) == ("queue_refused", True)


def test_a_server_that_lacks_a_command_is_said_to_be_too_old(private_redis):
    server = private_redis(options=["--rename-command", "HSET", ""])
    error = failure(JobQueue(redis_connection(server.url)), "enqueue")
    assert (error.code, "is too old" in str(error)) == ("queue_refused", True)


def test_something_that_is_no_redis_is_said_to_be_none():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        queue = JobQueue(redis_connection(f"redis://127.0.0.1:{listener.getsockname()[1]}/0"))
        assert "does not answer as Redis does" in str(failure(queue, "condition"))


@pytest.mark.parametrize("key", ["rq:queue:train", "rq:workers:predict"])
def test_a_key_of_another_type_is_said_to_be_another_programs(server, admin, key):
    admin.set(key, "x")
    error = failure(JobQueue(redis_connection(server.url)), "condition")
    assert (error.code, "another program" in str(error)) == ("queue_refused", True)


def test_a_result_that_cannot_be_read_is_refused_and_not_taken_for_none(server, admin):
    queue = JobQueue(redis_connection(server.url))
    job = queue.enqueue_retrain(Retrain(1, "demo", "a")).job_id
    admin.xadd(f"rq:results:{job}", {"type": "1", "return_value": "not base 64"})
    with pytest.raises(StorageUnavailable) as caught:
        queue.status(job)
    assert caught.value.code == "queue_unreadable"


@pytest.mark.parametrize("value", [b"\xff\xfe", b"no id"])
def test_a_slot_that_no_job_can_hold_is_free(server, admin, value):
    admin.set("yolo-mlsam:retrain:1", value)
    queue = JobQueue(redis_connection(server.url))
    assert queue.active(1) is None
    assert queue.enqueue_retrain(Retrain(1, "demo", "a")).created


def test_nothing_is_written_by_what_reads_or_checks(server, admin):
    queue = JobQueue(redis_connection(server.url))
    admin.sadd("rq:workers:train", "rq:worker:dead")
    before = admin.info("persistence")["rdb_changes_since_last_save"]
    queue.check_writable()
    condition = queue.condition()
    assert admin.info("persistence")["rdb_changes_since_last_save"] == before
    assert condition.workers == 0, "its heartbeat has expired"


def test_an_address_that_cannot_be_parsed_is_not_quoted():
    with pytest.raises(InvalidSettings, match="no address of a Redis server") as caught:
        redis_connection("redis://:secret-word@host:port/0")
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (redis.ConnectionError("Error 111 connecting"), True),
        (redis.TimeoutError("Timeout reading from socket"), True),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), True),
        (redis.AuthenticationError("invalid username-password pair"), False),
        (redis.exceptions.OutOfMemoryError("command not allowed"), False),
    ],
)
def test_waiting_helps_while_redis_is_away_and_not_when_it_refuses(error, away):
    assert is_away(error) is away
    assert explain(error).startswith("Redis at YOLO_MLSAM_REDIS_URL ")
