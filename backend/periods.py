"""Periods: from which day to which day something is counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

PERIODS = {
    "this-week": "this week",
    "last-week": "last week",
    "four-weeks": "the last four weeks",
    "all": "all time",
}
"""Periods by the name that an address has."""


@dataclass(frozen=True)
class Period:
    """Days, UTC; None: without an end."""

    since: date | None = None
    until: date | None = None

    @classmethod
    def named(cls, name: str, *, today: date) -> Period:
        """Return a period of `PERIODS`; weeks begin on Monday. Raises KeyError: there is no such period."""
        monday = today - timedelta(days=today.weekday())
        return {
            "this-week": cls(monday, today),
            "last-week": cls(monday - timedelta(days=7), monday - timedelta(days=1)),
            "four-weeks": cls(today - timedelta(days=27), today),
            "all": cls(),
        }[name]
