"""The desk on a real Redis: rows first, jobs second, and nothing lost when the queue loses its jobs."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from mammo.errors import RunConflict, StorageUnavailable
from mammo.runs import QuietHours, Runs, RunService, claim, this_process
from mammo.runs.jobs import JobQueue, redis_connection

DEAD = f"{socket.gethostname()}/999999999/1"
NOW = timedelta(0)


@pytest.fixture
def queue(redis_url):
    return JobQueue(redis_connection(redis_url))


@pytest.fixture
def desk(any_engine, queue):
    return RunService(Runs(any_engine), queue)


def start(desk, *, project=1, trigger="api"):
    return desk.start(project, recipe="demo", reason="a reason", trigger=trigger)


def forget(redis_url, name):
    """What a broker does that comes back without its disk."""
    Job.fetch(name, connection=redis_connection(redis_url), serializer=JSONSerializer).delete()


def test_a_run_and_its_job_have_one_id_and_a_second_trigger_starts_neither(desk, queue):
    first, second = start(desk), start(desk, trigger="button")
    assert (first.created, second.created, second.run) == (True, False, first.run)
    assert queue.status(first.run).state == "queued"
    assert queue.condition().waiting == 1
    assert desk.runs.get(first.run).job == first.run


def test_a_run_that_is_cancelled_in_the_queue_leaves_no_job_and_goes_on_when_it_is_resumed(desk, queue):
    run = start(desk).run
    assert desk.cancel(run, reason="by hand").state == "cancelled"
    assert (queue.condition().waiting, queue.active(1)) == (0, None)
    with pytest.raises(RunConflict, match="has ended already"):
        desk.cancel(run, reason="again")
    assert desk.resume(run, reason="after all").run == run
    assert (queue.status(run).state, desk.runs.get(run).state) == ("queued", "queued")


def test_a_run_is_kept_while_the_queue_is_away_and_sent_when_it_is_back(any_engine, queue):
    class Away:
        def enqueue_retrain(self, payload, *, run=None):
            raise StorageUnavailable("the job queue does not answer")

        def drop(self, job_id):
            raise StorageUnavailable("the job queue does not answer")

    started = start(RunService(Runs(any_engine), Away()))
    assert (started.created, started.problem) == (True, "the job queue does not answer")
    back = RunService(Runs(any_engine), queue)
    assert back.send_again() == []  # whoever asked may still be telling the queue
    assert back.send_again(untold=NOW) == [started.run]
    assert back.send_again(untold=NOW) == []
    assert queue.status(started.run).state == "queued"


def test_a_run_whose_process_died_and_whose_job_was_lost_is_sent_again(desk, queue, redis_url):
    run = start(desk).run
    forget(redis_url, run)
    assert claim(desk.runs, run, owner=this_process()) is not None
    assert desk.send_again() == []  # somebody works on it
    desk.cancel(run, reason="")
    desk.resume(run, reason="")
    forget(redis_url, run)
    assert claim(desk.runs, run, owner=DEAD, alive=lambda _: False) is not None
    assert desk.send_again() == [run]
    assert queue.status(run).state == "queued"


def test_quiet_hours_hold_back_what_comes_by_itself_and_nothing_that_a_person_asks_for(any_engine, queue):
    now = datetime.now(UTC)
    begin, end = (now + timedelta(hours=hours) for hours in (-1, 1))
    quiet = QuietHours.read(f"{begin:%H:%M}-{end:%H:%M}", zone=ZoneInfo("UTC"))
    desk = RunService(Runs(any_engine), queue, quiet=quiet)
    held = start(desk, trigger="corrections")
    assert held.not_before is not None
    assert now < held.not_before <= end
    assert queue.condition().waiting == 0
    assert desk.send_again(untold=NOW) == []
    assert desk.send_again(untold=NOW, now=now + timedelta(hours=2)) == [held.run]
    assert start(desk, project=2, trigger="button").not_before is None


def test_somebody_who_asks_while_a_run_waits_for_the_end_of_the_quiet_hours_starts_it(any_engine, queue):
    now = datetime.now(UTC)
    begin, end = (now + timedelta(hours=hours) for hours in (-1, 1))
    quiet = QuietHours.read(f"{begin:%H:%M}-{end:%H:%M}", zone=ZoneInfo("UTC"))
    desk = RunService(Runs(any_engine), queue, quiet=quiet)
    held = start(desk, trigger="schedule")
    wanted = start(desk, trigger="button")
    assert (wanted.run, wanted.created, wanted.not_before) == (held.run, False, None)
    assert queue.status(held.run).state == "queued"
