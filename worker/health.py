"""`python -m worker.health`: is a worker of this machine alive? For the container's health check; says why not."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime, timedelta

import redis
from rq import Worker

from mammo.errors import MammoError
from mammo.site import Site

SILENCE = timedelta(minutes=3)
"""RQ's workers say that they live every 90 s, busy or not."""


def main() -> int:
    """0 if a worker of this host was heard of lately, else 1."""
    try:
        connection = Site.load().redis
        workers = Worker.all(connection=connection)
    except (MammoError, redis.RedisError) as error:
        return _ill(f"the broker does not answer ({type(error).__name__})")
    here = [worker for worker in workers if worker.hostname == socket.gethostname()]
    heard = [worker.last_heartbeat for worker in here if worker.last_heartbeat]
    if not heard:
        return _ill("no worker of this machine is registered")
    silence = datetime.now(UTC) - max(each if each.tzinfo else each.replace(tzinfo=UTC) for each in heard)
    if silence > SILENCE:
        return _ill(f"the last sign of life is {silence.total_seconds():.0f} s old")
    return 0


def _ill(reason: str) -> int:
    print(f"worker: {reason}", file=sys.stderr)  # noqa: T201 - the health check's log
    return 1


if __name__ == "__main__":
    sys.exit(main())
