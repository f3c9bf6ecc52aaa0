"""Quiet hours: the part of the day in which no training starts by itself, because people work on the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


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
        """When the quiet hours that hold at `moment` are over; None when they do not hold."""
        here = moment.astimezone(self.zone)
        now, today = here.time(), here.date()
        if self.begin < self.end:
            return datetime.combine(today, self.end, self.zone) if self.begin <= now < self.end else None
        if now >= self.begin:
            return datetime.combine(today + timedelta(days=1), self.end, self.zone)
        return datetime.combine(today, self.end, self.zone) if now < self.end else None
