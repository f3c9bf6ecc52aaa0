from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mammo.runs import QuietHours

ZURICH = ZoneInfo("Europe/Zurich")


@pytest.mark.parametrize(
    ("text", "hour", "until"),
    [
        ("07:00-19:00", 12, 19),
        ("07:00-19:00", 7, 19),
        ("07:00-19:00", 19, None),
        ("07:00-19:00", 3, None),
        ("22:00-06:00", 23, 6),
        ("22:00-06:00", 2, 6),
        ("22:00-06:00", 12, None),
    ],
)
def test_quiet_hours_end_at_their_end_in_their_own_time_zone(text: str, hour: int, until: int | None) -> None:
    quiet = QuietHours.read(text, zone=ZURICH)
    over = quiet.over_at(datetime(2026, 7, 3, hour, tzinfo=ZURICH).astimezone(UTC))
    assert (over.astimezone(ZURICH).hour if over else None) == until


def test_quiet_hours_over_midnight_end_on_the_next_day_when_they_begin_and_on_the_same_after_it() -> None:
    quiet = QuietHours.read("22:00-06:00", zone=ZURICH)
    for day, hour in ((3, 23), (4, 2)):
        assert quiet.over_at(datetime(2026, 7, day, hour, tzinfo=ZURICH)) == datetime(
            2026, 7, 4, 6, tzinfo=ZURICH
        )


@pytest.mark.parametrize("text", ["", "7-19", "07:00-07:00", "07:00-24:00", "07:60-09:00", "x"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        QuietHours.read(text, zone=ZURICH)
