"""Quiet hours: the part of the day in which no training starts by itself, because people work on the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class QuietHours:
    """From `begin` until before `end`, every day; over midnight where `end` is not later."""

    begin: time
    end: time
    zone: ZoneInfo

    @classmethod
    def read(cls, text: str, *, zone: ZoneInfo) -> QuietHours:
        """`07:00-19:00`.

        Raises:
            ValueError: it is not written so, or it is all day.
        """
        match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text.strip())
        if match is None:
            raise ValueError("expected hours such as 07:00-19:00")
        begin, end = (time(int(match[i]), int(match[i + 1])) for i in (1, 3))
        if begin == end:
            raise ValueError("quiet hours must end at another time than they begin")
        return cls(begin, end, zone)

    def over_at(self, moment: datetime) -> datetime | None:
        """When the quiet hours that hold at `moment` are over; None when they do not hold.

        They hold by the clock on the wall: on the day on which it is put back they may hold again for an hour, and
        where it jumps over their end they are over when it has jumped.
        """
        if not self._hold(moment):
            return None
        # Minute by minute of time that passes, a day at most: no rule about clocks that are changed can be forgotten.
        later = moment.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
        while self._hold(later):
            later += MINUTE
        return later.astimezone(self.zone)

    def _hold(self, moment: datetime) -> bool:
        now = moment.astimezone(self.zone).time()
        if self.begin < self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end
