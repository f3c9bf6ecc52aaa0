"""ConnectionLimits: how many connections there may be, and how long a client may take."""

from __future__ import annotations

import resource
from dataclasses import dataclass

import structlog

from mammo.settings import PREFIX, Settings

RESERVED_DESCRIPTORS = 128
"""File descriptors that are left for the database, model files, decoders and Label Studio."""

MIN_CONNECTIONS = 16

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Limits of all connections; durations in seconds."""

    max_connections: int
    """Open connections of all clients."""

    max_per_address: int
    """Open connections of one client that have not yet sent a right secret."""

    idle_seconds: float = 10.0
    """From the opening of a connection, or from its last response, to the first byte of a request."""

    head_seconds: float = 10.0
    """From the first byte of a request to the end of its headers."""

    body_seconds: float = 600.0
    """From the end of the headers to the end of the body."""

    stall_seconds: float = 30.0
    """Time over which the rate of a body, or of a response that waits for its reader, is looked at."""

    min_rate: int = 1000
    """Bytes per second that a client must send of a body, and take of a response that waits for it."""

    linger_seconds: float = 2.0
    """Time in which a client can read why it was refused, before its connection is closed."""

    @classmethod
    def of(cls, settings: Settings, *, descriptors: int) -> ConnectionLimits:
        """Return the limits of the settings, as far as the process may open so many descriptors."""
        possible = max(descriptors - RESERVED_DESCRIPTORS, MIN_CONNECTIONS)
        if possible < settings.max_connections:
            log.warning(
                f"fewer connections than {PREFIX}MAX_CONNECTIONS: the limit of open files is too low",
                connections=possible,
                open_files=descriptors,
            )
        most = min(settings.max_connections, possible)
        return cls(max_connections=most, max_per_address=min(settings.max_connections_per_address, most))


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files as far as the system lets it; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError) as error:  # macOS has a lower limit of its own
            log.warning("the limit of open files could not be raised", limit=soft, reason=str(error))
            return soft
    return hard
