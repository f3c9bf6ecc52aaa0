"""Entries in the lists and registries of the queues that are no ids of jobs: found, logged and removed.

RQ decodes every entry that it meets, and a worker that met one of another program, or a damaged one, would end; so
would its successor. What such an entry stood for is not known to anybody, and no job is lost with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import redis
from rq import Queue, registry, worker_registration
from rq.group import Group
from rq.rate_limit import RateLimitRegistry

from worker.registered_job import quoted

JOB_ID = rb"[A-Za-z0-9_-]+"
SHAPES = {
    "list": re.compile(JOB_ID),
    "sorted": re.compile(JOB_ID),
    "started": re.compile(JOB_ID + rb":[^:]+"),  # with the id of an execution
    "workers": re.compile(rb"rq:worker:.+", re.DOTALL),
    "names": re.compile(rb".+", re.DOTALL),
}
"""What RQ can read, by kind of key; all of it in UTF-8."""

SETS = ("workers", "names")

REGISTRIES = (
    registry.StartedJobRegistry,
    registry.FinishedJobRegistry,
    registry.FailedJobRegistry,
    registry.DeferredJobRegistry,
    registry.ReadyJobRegistry,
    registry.ScheduledJobRegistry,
    registry.CanceledJobRegistry,
)


def remove_foreign_entries(connection: redis.Redis, queues: Iterable[Queue]) -> list[str]:
    """Remove the entries that RQ cannot read; return each in quotation marks, with its key.

    Raises:
        redis.RedisError: Redis is away, or a key holds another type than RQ's.
    """
    removed = []
    for key, kind in _keys(queues):
        for entry in _entries(connection, key, kind):
            if not _is_readable(entry, kind):
                _remove(connection, key, kind, entry)
                removed.append(f"{quoted(entry)} in {key}")
    return removed


def _keys(queues: Iterable[Queue]) -> Iterator[tuple[str, str]]:
    """Yield every key whose entries RQ decodes, with its kind."""
    for queue in queues:
        yield queue.key, "list"
        yield queue.intermediate_queue_key, "list"
        yield worker_registration.WORKERS_BY_QUEUE_KEY % queue.name, "workers"
        for each in REGISTRIES:
            key = each(name=queue.name, connection=queue.connection, serializer=queue.serializer).key
            yield key, "started" if each is registry.StartedJobRegistry else "sorted"
    yield worker_registration.REDIS_WORKER_KEYS, "workers"
    yield Group.REDIS_GROUP_KEY, "names"
    yield RateLimitRegistry.rl_keys_key, "names"


def _is_readable(entry: bytes, kind: str) -> bool:
    try:
        entry.decode()
    except UnicodeDecodeError:
        return False
    return SHAPES[kind].fullmatch(entry) is not None


def _entries(connection: Any, key: str, kind: str) -> list[bytes]:
    if kind == "list":
        return list(connection.lrange(key, 0, -1))
    return list(connection.smembers(key) if kind in SETS else connection.zrange(key, 0, -1))


def _remove(connection: Any, key: str, kind: str, entry: bytes) -> None:
    if kind == "list":
        connection.lrem(key, 0, entry)
    elif kind in SETS:
        connection.srem(key, entry)
    else:
        connection.zrem(key, entry)
