"""ConnectionTable: all open connections, and the room for new ones.

A connection is a stranger's until it has sent a right secret. When there is no room, the connection that makes room is
the one that has waited longest among the strangers of the address that has most of them. Somebody who opens many
connections therefore displaces his own, and newcomers always get in. A connection that has sent a right secret makes
room only when there are no strangers, and one whose request is being answered never does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

import structlog

from backend.connections.limits import ConnectionLimits
from backend.metrics import Metrics
from backend.rate_limit import client_network

REPORT_SECONDS = 60.0
"""Shortest time between two log lines about closed connections. Whoever causes them must not fill the disk."""

MAX_CLOSED_AT_ONCE = 50
"""Connections closed at a time for their deadlines. A thousand that were opened together would otherwise be closed, and
opened again, in one moment, in which nothing else is answered."""

log = structlog.get_logger()


class Connection(Protocol):
    """What the table asks of a connection."""

    address: str

    @property
    def waits_for_client(self) -> bool:
        """Whether it waits for bytes of its client, as opposed to the backend's response."""
        ...

    def late(self, now: float) -> str | None:
        """Return which deadline has passed; None: none."""
        ...

    def end(self, reason: str) -> None:
        """Close it for a passed deadline, with a response if the client can still read one."""
        ...

    def abort(self) -> None:
        """Close it at once."""
        ...


class ConnectionTable:
    """Used by the thread of the event loop only."""

    def __init__(
        self,
        limits: ConnectionLimits,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.clock = clock
        self._metrics = metrics
        self._open: dict[Connection, str] = {}
        self._strangers: dict[str, dict[Connection, None]] = {}
        """By client, oldest first."""

        self._unreported: Counter[str] = Counter()
        self._reported_at = -REPORT_SECONDS

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """Add a stranger; if its address has as many as it may, the one that has waited longest is closed."""
        client = client_network(connection.address)
        group = self._strangers.get(client, {})
        while len(group) >= self.limits.max_per_address and self._displace([group]):
            pass
        self._open[connection] = client
        self._strangers.setdefault(client, {})[connection] = None
        self._metrics.connections.set(len(self))

    def trust(self, connection: Connection) -> None:
        """Note that a connection has sent a right secret."""
        if client := self._open.get(connection):
            self._forget_stranger(connection, client)

    def remove(self, connection: Connection) -> None:
        """Remove a connection; it may have been removed before."""
        client = self._open.pop(connection, None)
        if client is not None:
            self._forget_stranger(connection, client)
        self._metrics.connections.set(len(self))

    @property
    def is_full(self) -> bool:
        return len(self) >= self.limits.max_connections

    def displace(self) -> bool:
        """Close the stranger that has waited longest, of the client with most of them; return whether there was one.

        Without strangers, the oldest connection goes that waits for its client.
        """
        if not self._strangers:
            return self._displace([self._open])
        largest = max(self._strangers.values(), key=len)
        if self._displace([largest]):
            return True
        groups = sorted(self._strangers.values(), key=len, reverse=True)
        return self._displace(groups)

    def close_late(self) -> None:
        """Close connections whose deadline has passed, oldest first, and report what was closed lately."""
        now = self.clock()
        late = ((each, reason) for each in list(self._open) if (reason := each.late(now)))
        for connection, reason in islice(late, MAX_CLOSED_AT_ONCE):
            self.count(reason)  # before the client hears of it
            connection.end(reason)
        self._report(now)

    def count(self, reason: str) -> None:
        """Count a connection that the backend closed: `idle`, `head`, `body`, `response`, `displaced`, `invalid`."""
        self._metrics.closed_connections.labels(reason=reason).inc()
        self._unreported[reason] += 1

    def _displace(self, groups: Iterable[Iterable[Connection]]) -> bool:
        for group in groups:
            for connection in group:
                if connection.waits_for_client:
                    self.count("displaced")
                    connection.abort()
                    self.remove(connection)
                    return True
        return False

    def _forget_stranger(self, connection: Connection, client: str) -> None:
        group = self._strangers.get(client)
        if group is not None:
            group.pop(connection, None)
            if not group:
                del self._strangers[client]

    def _report(self, now: float) -> None:
        if self._unreported and now - self._reported_at >= REPORT_SECONDS:
            log.warning(
                "connections were closed",
                open=len(self),
                **{f"num_{k}": n for k, n in self._unreported.items()},
            )
            self._unreported.clear()
            self._reported_at = now
