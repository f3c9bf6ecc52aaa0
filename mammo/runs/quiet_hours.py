"""Quiet hours: the part of the day in which no run starts by itself, because people work on the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class QuietHours:
    """From `begin` (inclusive) to `end` (exclusive) every day; past midnight if `end` is earlier than `begin`."""

    begin: time
    end: time
    zone: ZoneInfo

    @classmethod
    def read(cls, text: str, *, zone: ZoneInfo) -> QuietHours:
        """Parse hours such as `07:00-19:00`.

        Raises:
            ValueError: The text has another form, or begin and end are equal.
        """
        match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text.strip())
        if match is None:
            raise ValueError(f"quiet hours must have the form 07:00-19:00, got {text!r}")
        begin, end = (time(int(match[i]), int(match[i + 1])) for i in (1, 3))
        if begin == end:
            raise ValueError(f"quiet hours must not begin and end at the same time, got {text!r}")
        return cls(begin, end, zone)

    def end_after(self, now: datetime) -> datetime | None:
        """Return the end of the quiet hours in force at `now`; None if none are in force.

        Local time decides: on the day on which clocks are set back, quiet hours may recur for an hour; if clocks are
        set forward past their end, they end at the change.
        """
        if not self._in_force(now):
            return None
        # Search minute by minute, for a day at most: correct for every rule of daylight saving time.
        end = now.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
        while self._in_force(end):
            end += MINUTE
        return end.astimezone(self.zone)

    def _in_force(self, now: datetime) -> bool:
        local = now.astimezone(self.zone).time()
        if self.begin < self.end:
            return self.begin <= local < self.end
        return local >= self.begin or local < self.end
