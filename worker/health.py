"""`python -m worker.health`: the container's health check. Exit code 0: a worker of this host is alive."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime, timedelta

from rq import Worker

from mammo.broker import operation
from mammo.errors import MammoError
from mammo.site import Site

MAX_SILENCE = timedelta(minutes=3)
"""RQ's workers send a heartbeat every 90 s, busy or idle."""


def main() -> int:
    """Return 0 if a worker of this host has sent a recent heartbeat, else 1 with the reason on stderr."""
    try:
        with operation():
            workers = Worker.all(connection=Site.load().redis)
    except MammoError as error:
        return _unhealthy(str(error))
    host = socket.gethostname()
    heartbeats = [w.last_heartbeat for w in workers if w.hostname == host and w.last_heartbeat]
    if not heartbeats:
        return _unhealthy("no worker of this machine is registered")
    newest = max(each if each.tzinfo else each.replace(tzinfo=UTC) for each in heartbeats)
    silence = datetime.now(UTC) - newest
    if silence > MAX_SILENCE:
        return _unhealthy(f"the last heartbeat is {silence.total_seconds():.0f} s old")
    return 0


def _unhealthy(reason: str) -> int:
    print(f"worker: {reason}", file=sys.stderr)  # noqa: T201 - the health check's log
    return 1


if __name__ == "__main__":
    sys.exit(main())
