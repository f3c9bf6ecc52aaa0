"""Every time of the clock on the wall comes once, on the days on which clocks are changed too."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import CroniterError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.cron_times import newest_due

ZONES = ["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "UTC", "Africa/Cairo", "Asia/Kathmandu"]
"""Lord Howe moves its clocks by half an hour, Cairo at midnight, UTC and Kathmandu not at all."""

HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
CHANGES = [
    date(2026, 3, 29), date(2026, 10, 25),  # Zurich
    date(2026, 3, 8), date(2026, 11, 1),  # New York
    date(2026, 4, 5), date(2026, 10, 4),  # Lord Howe
    date(2026, 4, 24), date(2026, 10, 29), date(2026, 10, 30),  # Cairo
]  # fmt: skip


def rounds(
    expression: str, zone: ZoneInfo, *, begin: datetime, end: datetime, every: timedelta
) -> set[datetime]:
    """What a backend that looks so often would start, by the moments that name the runs."""
    noticed, now = set(), begin
    while now < end:
        due = newest_due(expression, zone=zone, now=now, within=HOUR)
        if due is not None:
            noticed.add(due.isoformat())
        now += every
    return {datetime.fromisoformat(each).astimezone(UTC) for each in noticed}


def comes_at(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """What the claims say, minute by minute of the time that passes: the first at which the wall shows it; else as far
    after the clocks were put forward as it is after the hour that is missing began."""
    wanted = datetime.combine(day, clock)
    before: datetime | None = None
    moment = datetime.combine(day, time(), UTC) - DAY
    for _ in range(3 * 24 * 60):
        wall = moment.astimezone(zone).replace(tzinfo=None)
        if wall == wanted:
            return moment
        if before is not None and before < wanted < wall and wall - before > MINUTE:
            return moment + (wanted - (before + MINUTE))
        before = wall
        moment += MINUTE
    raise AssertionError("a day has no such time")


@settings(max_examples=40)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(CHANGES) | st.dates(date(2024, 1, 1), date(2032, 12, 31)),
    st.integers(0, 3) | st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from([3 * MINUTE, 7 * MINUTE]),
)
@example("Europe/Zurich", date(2026, 10, 25), 2, 30, 15 * timedelta(seconds=1))
@example("Europe/Zurich", date(2026, 3, 29), 2, 0, MINUTE)
@example("Australia/Lord_Howe", date(2026, 4, 5), 1, 45, MINUTE)
@example("Australia/Lord_Howe", date(2026, 10, 4), 2, 15, MINUTE)
@example("Africa/Cairo", date(2026, 4, 24), 0, 30, MINUTE)
def test_a_time_comes_once_a_day_and_at_the_moment_that_is_promised(
    name: str, day: date, hour: int, minute: int, every: timedelta
) -> None:
    zone, expression = ZoneInfo(name), f"{minute} {hour} {day.day} {day.month} *"
    promised = comes_at(day, time(hour, minute), zone)
    around = {"begin": promised - 2 * HOUR, "end": promised + 3 * HOUR}
    assert rounds(expression, zone, **around, every=every) == {promised}


@settings(max_examples=15)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(CHANGES),
    st.sampled_from(["*/15 * * * *", "30 * * * *", "0,30 0-3 * * *"]),
)
def test_a_time_of_many_hours_comes_once_for_each_that_the_wall_shows(
    name: str, day: date, expression: str
) -> None:
    zone = ZoneInfo(name)
    begin = datetime.combine(day, time(), UTC) - 14 * HOUR
    noticed = sorted(rounds(expression, zone, begin=begin, end=begin + 30 * HOUR, every=5 * MINUTE))
    walls = [each.astimezone(zone).replace(tzinfo=None) for each in noticed]
    assert walls == sorted(set(walls)), "no time on the wall twice"
    assert all(not each.astimezone(zone).fold for each in noticed), "the first of two"


def test_the_promises_of_the_readme() -> None:
    zurich = ZoneInfo("Europe/Zurich")
    autumn = newest_due("30 2 * * *", zone=zurich, now=datetime(2026, 10, 25, 1, 20, tzinfo=UTC), within=HOUR)
    assert autumn is not None
    assert autumn.isoformat() == "2026-10-25T02:30:00+02:00"
    again = newest_due("30 2 * * *", zone=zurich, now=datetime(2026, 10, 25, 1, 35, tzinfo=UTC), within=HOUR)
    assert again is None
    spring = newest_due("30 2 * * *", zone=zurich, now=datetime(2026, 3, 29, 1, 30, tzinfo=UTC), within=HOUR)
    assert spring is not None
    assert spring.isoformat() == "2026-03-29T03:30:00+02:00"


@pytest.mark.parametrize("seconds", [0, 1, 3599])
def test_the_very_moment_is_due_and_an_hour_later_it_is_passed_over(seconds: int) -> None:
    moment = datetime(2026, 11, 27, 19, tzinfo=UTC)
    ask = {"zone": ZoneInfo("Europe/Zurich"), "within": HOUR}
    assert newest_due("0 20 * * 5", now=moment + timedelta(seconds=seconds), **ask) == moment
    assert newest_due("0 20 * * 5", now=moment + HOUR, **ask) is None
    assert newest_due("0 20 * * 5", now=moment - timedelta(seconds=1), **ask) is None


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(CroniterError):
        newest_due("0 20 31 2 *", zone=ZoneInfo("UTC"), now=datetime(2026, 1, 1, tzinfo=UTC), within=HOUR)
