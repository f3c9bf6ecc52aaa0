"""Cron times in local time, also on days with a clock change.

Each local time occurs once. In the repeated hour it is the first occurrence. A time in the skipped hour is shifted by
the change: 02:30 occurs at 03:30.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

MAX_CHANGE = timedelta(hours=3)
"""No time zone changes its clocks by more at once."""


def newest_due(expression: str, *, zone: ZoneInfo, now: datetime, within: timedelta) -> datetime | None:
    """Return the last time up to `now` that a cron expression matches; None if that is `within` ago or longer.

    Args:
        expression: five fields, in the local time of `zone`.

    Returns:
        A time in `zone`.

    Raises:
        CroniterError: no existing day matches the expression.
    """
    times = (_to_utc(local, zone) for local in _local_times(expression, zone=zone, now=now, within=within))
    due = max((each for each in times if now - within < each <= now), default=None)
    return due.astimezone(zone) if due else None


def _to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """Convert to UTC, in which times can be compared. `fold=0` (PEP 495) gives the rules above."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _local_times(expression: str, *, zone: ZoneInfo, now: datetime, within: timedelta) -> Iterator[datetime]:
    """Yield candidates for the last matching local time, latest first.

    Usually there is one. Near a clock change, the latest local time need not be the latest in UTC.
    """
    begin, end = ((now + change).astimezone(zone) for change in (-within - MAX_CHANGE, MAX_CHANGE))
    changes = begin.utcoffset() != end.utcoffset()
    latest = (end if changes else now.astimezone(zone)).replace(tzinfo=None)
    # One microsecond later, so that `now` itself counts as past.
    times = croniter(expression, latest + timedelta(microseconds=1))
    local = times.get_prev(datetime)
    yield local
    while changes and local > begin.replace(tzinfo=None):
        local = times.get_prev(datetime)
        yield local
