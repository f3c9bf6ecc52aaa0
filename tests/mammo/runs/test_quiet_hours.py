from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    over = quiet.end_after(datetime(2026, 7, 3, hour, tzinfo=ZURICH).astimezone(UTC))
    assert (over.astimezone(ZURICH).hour if over else None) == until


def test_quiet_hours_over_midnight_end_on_the_next_day_when_they_begin_and_on_the_same_after_it() -> None:
    quiet = QuietHours.read("22:00-06:00", zone=ZURICH)
    for day, hour in ((3, 23), (4, 2)):
        assert quiet.end_after(datetime(2026, 7, day, hour, tzinfo=ZURICH)) == datetime(
            2026, 7, 4, 6, tzinfo=ZURICH
        )


@pytest.mark.parametrize("text", ["", "7-19", "07:00-07:00", "07:00-24:00", "07:60-09:00", "x"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        QuietHours.read(text, zone=ZURICH)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("hours", "moment", "over"),
    [
        ("22:00-02:30", "2026-10-25T02:15:00+02:00", "2026-10-25T02:30:00+02:00"),
        # The clock on the wall says 02:15 again, and the hours hold again.
        ("22:00-02:30", "2026-10-25T02:15:00+01:00", "2026-10-25T02:30:00+01:00"),
        ("22:00-02:30", "2026-10-25T02:45:00+02:00", None),
        ("22:00-06:00", "2026-10-25T02:15:00+02:00", "2026-10-25T06:00:00+01:00"),
        ("02:15-02:45", "2026-10-25T02:15:00+01:00", "2026-10-25T02:45:00+01:00"),
        # 02:00 to 03:00 does not exist.
        ("22:00-02:30", "2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("02:15-05:00", "2026-03-29T03:00:00+02:00", "2026-03-29T05:00:00+02:00"),
        ("02:15-02:45", "2026-03-29T01:59:00+01:00", None),
        ("02:15-02:45", "2026-03-29T03:00:00+02:00", None),
    ],
)
def test_quiet_hours_hold_by_the_clock_on_the_wall_when_it_is_changed(
    hours: str, moment: str, over: str | None
) -> None:
    end = QuietHours.read(hours, zone=ZURICH).end_after(at(moment))
    assert (end.isoformat() if end else None) == over


@given(
    st.sampled_from(["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "UTC", "Africa/Cairo"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    st.integers(0, 1439),
    st.integers(1, 1439),
)
def test_the_end_of_quiet_hours_is_later_and_outside_them_and_nothing_before_it_is(
    name: str, moment: datetime, minute: int, minutes: int
) -> None:
    begin, end = (time(*divmod(each % 1440, 60)) for each in (minute, minute + minutes))
    quiet = QuietHours(begin, end, ZoneInfo(name))
    over = quiet.end_after(moment)
    if over is None:
        return
    assert moment < over <= moment + timedelta(hours=26)
    assert quiet.end_after(over) is None
    assert quiet.end_after(over - timedelta(microseconds=1)) == over
