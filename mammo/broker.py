"""The broker of the job queue: Redis or Valkey, which may be away, hung, full, or another server than expected.

A request or a command waits for it less than two seconds, and then says what is known. A worker waits as long as it
takes: it has nothing else to do, and if it died with the broker, its job would wait for the next one.
"""

from __future__ import annotations

import math
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry

from mammo.errors import InvalidSettings, MammoError, StorageUnavailable

T = TypeVar("T")

ANSWER_SECONDS = 0.5
"""Longest wait for a connection, and for each answer, in seconds."""

OPERATION_SECONDS = 0.8
"""Seconds after which an operation begins no further command; with the answer to the last one it ends within 1.3 s."""

WORKER_ANSWER_SECONDS = 30.0
"""Longest wait of a worker for each answer, in seconds."""

SERVER = "Redis at YOLO_MLSAM_REDIS_URL"

WRONG_PASSWORD = "refuses user or password: correct YOLO_MLSAM_REDIS_URL"  # noqa: S105 - a sentence
NOT_A_CLUSTER = "is a cluster, and the job queue needs a server of its own: name one in YOLO_MLSAM_REDIS_URL"

REFUSALS = {
    "OOM": "has no memory left and refuses writes: raise its `maxmemory`",
    "MISCONF": "cannot save to its disk and refuses writes: free space on that disk",
    "READONLY": "is a replica that refuses writes: name the primary in YOLO_MLSAM_REDIS_URL",
    "NOREPLICAS": "has lost its replicas and refuses writes: start them, or lower `min-replicas-to-write`",
    "MASTERDOWN": "is a replica that has lost its primary: start it, or name another server",
    "LOADING": "is still loading its data: try again in a moment",
    "BUSY": "is busy with a script: end it with `SCRIPT KILL`",
    "NOAUTH": WRONG_PASSWORD,
    "WRONGPASS": WRONG_PASSWORD,
    "NOPERM": "does not allow its user what the job queue needs: give the user all commands, and the keys `rq:*` and "
    "`yolo-mlsam:*`",
    "MOVED": NOT_A_CLUSTER,
    "CROSSSLOT": NOT_A_CLUSTER,
    "CLUSTERDOWN": NOT_A_CLUSTER,
    "WRONGTYPE": "holds something else under a key of the job queue: do not share its database with another program",
    "unknown command": "is too old, or has a command of the job queue disabled: run Redis 6.2, Valkey 7.2 or later",
}
"""What an answer means, by the word that it contains."""

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""End of the operation in progress, by the monotonic clock."""


class _Once(Retry):
    """Tries each command once, and none after the deadline of the operation."""

    def call_with_retry(self, do: Callable[[], T], *arguments: Any, **options: Any) -> T:
        if time.monotonic() > _deadline.get():
            raise redis.TimeoutError("the operation took too long")
        return super().call_with_retry(do, *arguments, **options)


def redis_connection(url: str, *, patience: int = 0) -> redis.Redis:
    """Return a client that connects when it is first used. Safe to share between threads.

    Args:
        url: `redis://`, `rediss://` or `unix://`, including the password.
        patience: seconds to retry while the server cannot be reached; 0: for requests and commands, which wait no
            longer than `ANSWER_SECONDS`.

    Raises:
        InvalidSettings: the URL cannot be parsed.
    """
    retry = Retry(ConstantBackoff(1), patience) if patience else _Once(NoBackoff(), 0)
    errors = [redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError]
    try:
        return redis.Redis.from_url(
            url,
            retry=retry,
            retry_on_error=errors if patience else [],
            socket_connect_timeout=5 if patience else ANSWER_SECONDS,
            socket_timeout=WORKER_ANSWER_SECONDS if patience else ANSWER_SECONDS,
            health_check_interval=30,
        )
    except ValueError as error:  # it may quote the URL, which contains a password
        raise InvalidSettings(
            "YOLO_MLSAM_REDIS_URL is no address of a Redis server; expected redis://:PASSWORD@HOST:PORT/NUMBER, "
            "rediss:// with the same parts, or unix://PATH"
        ) from error


@contextmanager
def operation() -> Iterator[None]:
    """Bound the commands of the block together by `OPERATION_SECONDS`, and translate their failures.

    Only connections without patience are bounded.

    Raises:
        StorageUnavailable: the server does not answer (code `queue_unavailable`), refuses (`queue_refused`), or holds
            something that cannot be read (`queue_unreadable`).
    """
    token = _deadline.set(time.monotonic() + OPERATION_SECONDS)
    try:
        yield
    except MammoError:
        raise
    except redis.RedisError as error:
        code = "queue_refused" if _refusal(error) else "queue_unavailable"
        raise StorageUnavailable(explain(error), code=code) from error
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise StorageUnavailable(
            f"{SERVER} holds an entry that is none of the job queue's ({type(error).__name__}): run a worker, which "
            "removes it, and do not share the database with another program",
            code="queue_unreadable",
        ) from error
    finally:
        _deadline.reset(token)


def explain(error: redis.RedisError) -> str:
    """Return what a failure means, as a sentence for people. It quotes nothing that the server sent."""
    if (refusal := _refusal(error)) is not None:
        return f"{SERVER} {refusal}"
    if isinstance(error, redis.TimeoutError):
        return (
            f"{SERVER} has not answered in time, and it is not known whether it has done what was asked: see whether "
            "it hangs or is overloaded; asking again is safe"
        )
    return f"{SERVER} does not answer ({type(error).__name__}): start it, or correct the address"


def is_away(error: redis.RedisError) -> bool:
    """Return whether waiting may help: the server cannot be reached, hangs, or is still loading its data."""
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return False
    return isinstance(error, redis.ConnectionError | redis.TimeoutError)


def _refusal(error: redis.RedisError) -> str | None:
    """Return what the server answered instead of what was asked; None if it did not answer."""
    answer = f"{getattr(error, 'status_code', None) or ''} {error}"
    for word, meaning in REFUSALS.items():
        if re.search(rf"\b{word}\b", answer):
            return meaning
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return WRONG_PASSWORD
    if isinstance(error, redis.InvalidResponse):
        return "does not answer as Redis does: correct the address"
    if isinstance(error, redis.ResponseError):
        return "refuses a command of the job queue: see its log"
    return None
