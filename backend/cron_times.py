"""Cron times: when a time of the clock on the wall comes, on the days on which clocks are changed too.

Each comes once. In the hour that happens twice it is the first of the two; an hour that does not exist is counted from
its beginning as if the clocks had not been put forward: 02:30 comes at what is then called 03:30.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

WIDEST_CHANGE = timedelta(hours=3)
"""No zone moves its clocks by more at once."""


def newest_due(expression: str, *, zone: ZoneInfo, now: datetime, within: timedelta) -> datetime | None:
    """The last moment before `now`, or at it, that a cron expression names; None when it is `within` ago, or longer.

    Args:
        expression: five fields, of the clock on the wall in `zone`.

    Returns:
        In `zone`.

    Raises:
        CroniterError: the expression names no day that ever comes.
    """
    moments = (_moment(wall, zone) for wall in _walls(expression, zone=zone, now=now, within=within))
    due = max((each for each in moments if now - within < each <= now), default=None)
    return due.astimezone(zone) if due else None


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """In UTC, where times can be compared. The rules above are those of `fold=0` (PEP 495)."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _walls(expression: str, *, zone: ZoneInfo, now: datetime, within: timedelta) -> Iterator[datetime]:
    """Times of the clock on the wall that may be the last one, latest first.

    One, on most days. Near a change the latest on the wall need not be the latest to come.
    """
    begin, end = ((now + change).astimezone(zone) for change in (-within - WIDEST_CHANGE, WIDEST_CHANGE))
    changes = begin.utcoffset() != end.utcoffset()
    latest = (end if changes else now.astimezone(zone)).replace(tzinfo=None)
    # A moment later, so that the very moment counts as past.
    times = croniter(expression, latest + timedelta(microseconds=1))
    wall = times.get_prev(datetime)
    yield wall
    while changes and wall > begin.replace(tzinfo=None):
        wall = times.get_prev(datetime)
        yield wall
