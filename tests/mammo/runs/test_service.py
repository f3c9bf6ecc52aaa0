"""The service on a real Redis: rows first, jobs second, and nothing lost when the queue loses its jobs."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from mammo.broker import redis_connection
from mammo.errors import RunConflict, StorageUnavailable
from mammo.runs import QuietHours, Runs, RunService, claim, this_process
from mammo.runs.jobs import JobQueue
from mammo.runs.payloads import Adapt, Retrain

DEAD = f"{socket.gethostname()}/999999999/1"
NOW = timedelta(0)


@pytest.fixture
def queue(redis_url):
    return JobQueue(redis_connection(redis_url))


@pytest.fixture
def service(any_engine, queue):
    return RunService(Runs(any_engine), queue)


def start(service, *, project=1, trigger="api"):
    return service.start(project, recipe="demo", reason="a reason", trigger=trigger)


def forget(redis_url, name):
    """What a broker does that comes back without its disk."""
    Job.fetch(name, connection=redis_connection(redis_url), serializer=JSONSerializer).delete()


def test_a_run_and_its_job_have_one_id_and_a_second_trigger_starts_neither(service, queue):
    first, second = start(service), start(service, trigger="button")
    assert (first.created, second.created, second.run) == (True, False, first.run)
    assert queue.status(first.run).state == "queued"
    assert queue.condition().waiting == 1
    assert service.runs.get(first.run).job == first.run


def test_a_run_that_is_cancelled_in_the_queue_leaves_no_job_and_goes_on_when_it_is_resumed(service, queue):
    run = start(service).run
    assert service.cancel(run, reason="by hand").state == "cancelled"
    assert (queue.condition().waiting, queue.active(1)) == (0, None)
    with pytest.raises(RunConflict, match="has already ended"):
        service.cancel(run, reason="again")
    assert service.resume(run, reason="after all").run == run
    assert (queue.status(run).state, service.runs.get(run).state) == ("queued", "queued")


def test_a_run_survives_an_outage_of_the_queue_and_is_enqueued_afterwards(any_engine, queue):
    class Away:
        def enqueue_retrain(self, payload, *, run=None):
            raise StorageUnavailable("the job queue does not answer")

        def drop(self, job_id):
            raise StorageUnavailable("the job queue does not answer")

    started = start(RunService(Runs(any_engine), Away()))
    assert (started.created, started.problem) == (True, "the job queue does not answer")
    back = RunService(Runs(any_engine), queue)
    assert back.requeue_lost() == []  # whoever asked may still be telling the queue
    assert back.requeue_lost(after=NOW) == [started.run]
    assert back.requeue_lost(after=NOW) == []
    assert queue.status(started.run).state == "queued"


def test_a_run_whose_process_died_and_whose_job_was_lost_is_enqueued_again(service, queue, redis_url):
    run = start(service).run
    forget(redis_url, run)
    assert claim(service.runs, run, owner=this_process()) is not None
    assert service.requeue_lost() == []  # somebody works on it
    service.cancel(run, reason="")
    service.resume(run, reason="")
    forget(redis_url, run)
    assert claim(service.runs, run, owner=DEAD, is_alive=lambda _: False) is not None
    assert service.requeue_lost() == [run]
    assert queue.status(run).state == "queued"


def test_quiet_hours_delay_automatic_runs_only(any_engine, queue):
    now = datetime.now(UTC)
    begin, end = (now + timedelta(hours=hours) for hours in (-1, 1))
    quiet = QuietHours.read(f"{begin:%H:%M}-{end:%H:%M}", zone=ZoneInfo("UTC"))
    service = RunService(Runs(any_engine), queue, quiet=quiet)
    held = start(service, trigger="corrections")
    assert held.not_before is not None
    assert now < held.not_before <= end
    assert queue.condition().waiting == 0
    assert service.requeue_lost(after=NOW) == []
    assert service.requeue_lost(after=NOW, now=now + timedelta(hours=2)) == [held.run]
    assert start(service, project=2, trigger="button").not_before is None


def test_a_persons_request_starts_a_run_that_waits_for_the_end_of_the_quiet_hours(any_engine, queue):
    now = datetime.now(UTC)
    begin, end = (now + timedelta(hours=hours) for hours in (-1, 1))
    quiet = QuietHours.read(f"{begin:%H:%M}-{end:%H:%M}", zone=ZoneInfo("UTC"))
    service = RunService(Runs(any_engine), queue, quiet=quiet)
    held = start(service, trigger="schedule")
    wanted = start(service, trigger="button")
    assert (wanted.run, wanted.created, wanted.not_before) == (held.run, False, None)
    assert queue.status(held.run).state == "queued"


ADAPTATION = Adapt(0, "adapt", "a new scanner", ("ours", "monai"))


def test_an_adaptation_is_enqueued_with_its_backgrounds_and_takes_no_projects_place(
    service, queue, redis_url
):
    started = service.start_adaptation(replace(ADAPTATION, project=1), enqueue=True)
    assert started.created
    run = service.runs.get(started.run)
    assert (run.id.split("-")[:2], run.trigger, run.project) == (["adapt", "1"], "adapt", 1)
    assert service.adaptation(run) == replace(ADAPTATION, project=1)
    job = Job.fetch(run.id, connection=redis_connection(redis_url), serializer=JSONSerializer)
    assert job.func_name == "worker.jobs.adapt"
    assert Adapt(**job.kwargs["payload"]) == replace(ADAPTATION, project=1)
    assert service.runs.active(1) is None
    retrain = start(service)
    assert retrain.created
    job = Job.fetch(retrain.run, connection=redis_connection(redis_url), serializer=JSONSerializer)
    assert Retrain(**job.kwargs["payload"]).project == 1
    assert service.runs.active(1).id == retrain.run


def test_the_same_adaptation_is_one_run_and_another_one_has_to_wait(service, queue):
    first = service.start_adaptation(ADAPTATION, enqueue=False)
    assert queue.condition().waiting == 0
    again = service.start_adaptation(replace(ADAPTATION, reason="asked again"), enqueue=True)
    assert (again.run, again.created) == (first.run, False)
    assert queue.condition().waiting == 1
    with pytest.raises(RunConflict, match=rf"another adaptation, {first.run}, is active \(ours, monai"):
        service.start_adaptation(replace(ADAPTATION, backgrounds=("ours",)), enqueue=True)
    assert len(service.runs.newest()) == 1


def test_a_cancelled_adaptation_is_resumed_as_an_adaptation(service, queue, redis_url):
    run = service.start_adaptation(ADAPTATION, enqueue=True).run
    assert service.cancel(run, reason="by hand").state == "cancelled"
    other = service.start_adaptation(replace(ADAPTATION, recipe="smoke"), enqueue=True).run
    with pytest.raises(RunConflict, match="this site has an active adaptation"):
        service.resume(run, reason="again")
    service.cancel(other, reason="by hand")
    assert service.resume(run, reason="after all").run == run
    job = Job.fetch(run, connection=redis_connection(redis_url), serializer=JSONSerializer)
    assert job.func_name == "worker.jobs.adapt"
    forget(redis_url, run)
    assert service.requeue_lost(after=NOW) == [run]
    assert queue.status(run).state == "queued"
