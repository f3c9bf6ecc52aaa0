"""Every door to training asks one rule. Those of HTTP and the button: tests/backend/routes/test_readings.py."""

from __future__ import annotations

import pytest

from mammo.broker import redis_connection
from mammo.errors import NeverTrainedFrom
from mammo.readings import ReadingRecords, ReadingRules
from mammo.runs import Runs, RunService, require_trainable, why_not_trainable
from mammo.runs.jobs import JobQueue

SOURCE, READERS, ARBITERS = 2, (31, 32), 33


@pytest.fixture
def engine(any_engine):
    records = ReadingRecords(any_engine)
    records.create(SOURCE, rules=ReadingRules(), users={})
    for number, role in enumerate(("reader-1", "reader-2")):
        records.record_project(SOURCE, role, 1, READERS[number])
    records.record_project(SOURCE, "arbiter", 1, ARBITERS)
    return any_engine


@pytest.mark.parametrize("project", [*READERS, ARBITERS])
def test_a_project_of_a_double_reading_is_never_trained_from_and_the_sentence_names_its_source(
    engine, project
):
    with pytest.raises(NeverTrainedFrom, match=f"project {project} .* train on project {SOURCE}"):
        require_trainable(project, engine=engine)


@pytest.mark.parametrize("project", [SOURCE, 1])
def test_its_source_and_any_other_project_are(engine, project):
    require_trainable(project, engine=engine)
    assert why_not_trainable(project, engine=engine) is None


@pytest.mark.parametrize("trigger", ["api", "button", "cli", "corrections", "schedule"])
def test_no_trigger_starts_a_run_of_it(engine, redis_url, trigger):
    queue = JobQueue(redis_connection(redis_url))
    service = RunService(Runs(engine), queue)
    with pytest.raises(NeverTrainedFrom):
        service.start(READERS[0], recipe="demo", reason="a reason", trigger=trigger)
    assert not service.runs.newest(project=READERS[0])
    assert queue.condition().waiting == 0


def test_a_run_from_before_the_double_reading_is_not_resumed(engine, redis_url):
    service = RunService(Runs(engine), JobQueue(redis_connection(redis_url)))
    run = service.start(40, recipe="demo", reason="a reason", trigger="api").run
    service.cancel(run, reason="by hand")
    ReadingRecords(engine).record_project(SOURCE, "reader-1", 2, 40)
    with pytest.raises(NeverTrainedFrom):
        service.resume(run, reason="after all")
    assert service.runs.get(run).state == "cancelled"
