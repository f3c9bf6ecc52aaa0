from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from backend.schedule import Schedule
from tests.backend.fakes import Backend

ZURICH = ZoneInfo("Europe/Zurich")
FRIDAY = datetime(2026, 11, 27, 20, 0, tzinfo=ZURICH)


def schedule(backend: Backend, moment: datetime) -> Schedule:
    times = {3: "0 20 * * 5"}
    return Schedule(backend.services.triggers, times=times, zone=ZURICH, clock=lambda: moment)


def runs(backend: Backend) -> list[str]:
    return [run.trigger for run in backend.services.site.runs.runs.newest(project=3)]


def test_an_hour_of_the_schedule_starts_one_run_however_often_and_by_however_many_it_is_noticed() -> None:
    backend = Backend()
    backend.store.num_corrections = 4
    for seconds in (-1, 0, 1, 20, 600):
        schedule(backend, FRIDAY + timedelta(seconds=seconds)).round()
        assert runs(backend) == ([] if seconds < 0 else ["schedule"])
    (run,) = backend.services.site.runs.runs.newest()
    assert run.reason == "4 new corrections at 2026-11-27 20:00 CET"
    backend.services.site.runs.cancel(run.id, reason="")
    schedule(backend, FRIDAY + timedelta(minutes=2)).round()
    assert len(runs(backend)) == 1


def test_without_new_corrections_or_long_after_its_hour_the_schedule_starts_nothing() -> None:
    backend = Backend()
    schedule(backend, FRIDAY).round()
    backend.store.num_corrections = 4
    schedule(backend, FRIDAY + timedelta(hours=2)).round()
    assert runs(backend) == []


def test_a_schedule_waits_for_enough_new_patients() -> None:
    backend = Backend(changes={"train_least_patients": 3})
    backend.store.num_corrections, backend.store.num_patients = 9, 2
    schedule(backend, FRIDAY).round()
    assert runs(backend) == []
    backend.store.num_patients = 3
    schedule(backend, FRIDAY).round()
    assert runs(backend) == ["schedule"]


def test_an_hour_that_happens_twice_starts_one_run_and_a_day_that_never_comes_holds_up_nobody() -> None:
    backend = Backend()
    backend.store.num_corrections = 4
    times = {2: "0 20 31 2 *", 3: "30 2 * * *"}
    moment = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
    triggers = backend.services.triggers
    service = backend.services.site.runs
    looked = Schedule(triggers, times=times, zone=ZURICH, clock=lambda: moment)
    while moment < datetime(2026, 10, 25, 4, tzinfo=UTC):
        looked.round()
        for run in service.runs.newest(active=True):
            service.cancel(run.id, reason="done")
        moment += timedelta(minutes=5)
    (run,) = service.runs.newest()
    assert run.reason == "4 new corrections at 2026-10-25 02:30 CEST"


def test_an_outage_of_the_database_does_not_end_the_schedule() -> None:
    backend = Backend()
    backend.store.down = True
    running = Schedule(backend.services.triggers, times={3: "* * * * *"}, zone=ZURICH, every=0.01)
    running.start()
    backend.store.num_corrections, backend.store.down = 1, False
    for _ in range(1000):
        if runs(backend):
            break
        running._stopped.wait(0.01)
    running.stop()
    assert runs(backend) == ["schedule"]
