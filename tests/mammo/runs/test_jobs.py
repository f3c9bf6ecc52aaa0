import json
import threading
from dataclasses import asdict

import pytest
import redis
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from mammo.broker import redis_connection
from mammo.errors import InvalidSettings, StorageUnavailable
from mammo.runs.jobs import (
    FORMER_NAMES,
    LIGHT,
    PREDICT,
    PRELABEL,
    QUEUES,
    RETRAIN,
    TRAIN,
    JobQueue,
    import_job,
    lists_of,
)
from mammo.runs.payloads import (
    Adapt,
    ImportFromPacs,
    LookAgain,
    PrelabelProject,
    Retrain,
    SendResults,
    read_payload,
)


@pytest.fixture
def connection(redis_url):
    client = redis_connection(redis_url)
    yield client
    client.close()


@pytest.fixture
def queue(connection):
    return JobQueue(connection)


def fetch(connection, job_id):
    return Job.fetch(job_id, connection=connection, serializer=JSONSerializer)


def end(connection, job_id, *, state):
    """What a worker does at the end, as far as the queue is concerned."""
    job = fetch(connection, job_id)
    Queue(job.origin, connection=connection, serializer=JSONSerializer).remove(job_id)
    job.set_status(state)
    return job


def test_a_second_retrain_of_a_project_is_the_first_one(queue, connection):
    first = queue.enqueue_retrain(Retrain(1, "demo", "START_TRAINING"))
    again = queue.enqueue_retrain(Retrain(1, "demo", "START_TRAINING"))
    assert (first.created, again.created) == (True, False)
    assert again.job_id == first.job_id == queue.active(1)
    fetch(connection, first.job_id).set_status("started")
    assert queue.enqueue_retrain(Retrain(1, "demo", "schedule")) == again
    assert queue.enqueue_retrain(Retrain(2, "demo", "START_TRAINING")).created


@pytest.mark.parametrize("state", ["finished", "failed", "stopped"])
def test_after_the_end_a_new_retrain_starts_and_the_old_one_can_still_be_read(queue, connection, state):
    first = queue.enqueue_retrain(Retrain(1, "demo", "a"))
    end(connection, first.job_id, state=state)
    assert queue.active(1) is None
    second = queue.enqueue_retrain(Retrain(1, "demo", "b"))
    assert second.created
    assert second.job_id != first.job_id
    assert queue.status(first.job_id).state == state
    assert queue.status(second.job_id).state == "queued"


def test_of_many_who_ask_at_once_one_starts_a_run(queue, redis_url):
    answers = []

    def ask():
        mine = JobQueue(redis_connection(redis_url))
        answers.append(mine.enqueue_retrain(Retrain(1, "demo", "race")))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 12
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.job_id for answer in answers}) == 1


def test_a_job_is_plain_json_by_name_and_without_a_time_limit(queue, connection):
    enqueued = queue.enqueue_retrain(Retrain(1, "demo", "START_TRAINING"))
    job = fetch(connection, enqueued.job_id)
    assert job.func_name == RETRAIN
    assert job.kwargs == {"payload": {"project": 1, "recipe": "demo", "reason": "START_TRAINING"}}
    assert job.timeout == -1
    assert Retrain(**job.kwargs["payload"]) == Retrain(1, "demo", "START_TRAINING")
    for value in connection.hgetall(f"rq:job:{enqueued.job_id}").values():
        assert b"\x80\x04" not in value  # what a pickle begins with


@pytest.mark.parametrize(
    "payload",
    [
        Retrain(1, "demo", "a"),
        Adapt(0, "demo", "a", ("one", "two")),
        PrelabelProject(2),
        PrelabelProject(2, "m1"),
        PrelabelProject(2, "m1", refresh=True, after=7),
    ],
)
def test_what_our_queue_writes_is_read(payload):
    assert read_payload(type(payload), json.loads(json.dumps(asdict(payload)))) == payload


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ({"project": "1/../../users", "recipe": "demo", "reason": "a"}, "project"),
        ({"project": -1, "recipe": "demo", "reason": "a"}, "project"),
        ({"project": 2**63, "recipe": "demo", "reason": "a"}, "project"),
        ({"project": True, "recipe": "demo", "reason": "a"}, "project"),
        ({"project": 1, "recipe": ["demo"], "reason": "a"}, "recipe"),
        ({"project": 1, "recipe": "demo", "reason": "a", "weights": "http://"}, "weights"),
        ({"project": 1}, "recipe, reason"),
        (["x"], "payload"),
        (None, "payload"),
    ],
)
def test_a_payload_that_our_queue_never_writes_is_refused_and_not_quoted(payload, named):
    with pytest.raises(InvalidSettings, match="not what this release queues") as caught:
        read_payload(Retrain, payload)
    assert str(caught.value).endswith(f": {named}")


def test_prelabels_are_asked_for_once_per_version_and_go_before_training(queue, connection):
    assert QUEUES.index(PREDICT) < QUEUES.index(TRAIN)
    first = queue.enqueue_prelabel(PrelabelProject(1, "m1"))
    assert fetch(connection, first.job_id).func_name == PRELABEL
    assert queue.enqueue_prelabel(PrelabelProject(1, "m1")).created is False
    assert queue.enqueue_prelabel(PrelabelProject(1, "m2")).created
    assert queue.enqueue_prelabel(PrelabelProject(1)).created
    assert fetch(connection, first.job_id).origin == PREDICT
    assert queue.active(1) is None


def test_one_import_at_a_time_goes_into_a_project_and_is_begun_again_under_its_name(queue, connection):
    first = queue.enqueue_pacs_import(ImportFromPacs(7, 1))
    assert (first.job_id, first.created) == (import_job(1), True)
    assert fetch(connection, first.job_id).origin == LIGHT
    for number in (1, 2):
        again = queue.enqueue_pacs_import(ImportFromPacs(7, number))
        assert (again.job_id, again.created) == (first.job_id, False)
    assert queue.enqueue_pacs_import(ImportFromPacs(8, 3)).created
    end(connection, first.job_id, state="failed")
    assert queue.enqueue_pacs_import(ImportFromPacs(7, 1)) == first
    assert queue.status(first.job_id).state == "queued"


def test_results_are_sent_once_at_a_time_per_project_and_kind(queue, connection):
    first = queue.enqueue_results(SendResults(7, "sr", "ann"))
    assert fetch(connection, first.job_id).origin == LIGHT
    assert queue.enqueue_results(SendResults(7, "sr", "bob")).created is False
    assert queue.enqueue_results(SendResults(7, "seg", "ann")).created
    with pytest.raises(InvalidSettings, match="kind"):
        read_payload(SendResults, {"project": 7, "kind": "coco", "actor": "ann"})


def test_the_status_tells_stage_progress_and_the_reason_of_a_failure(queue, connection):
    enqueued = queue.enqueue_retrain(Retrain(1, "demo", "a"))
    assert queue.status(enqueued.job_id).progress == 0.0
    job = fetch(connection, enqueued.job_id)
    job.meta.update(stage="detector", progress=0.25, message="epoch 3", error="too few patients")
    job.save_meta()
    status = queue.status(enqueued.job_id)
    assert (status.stage, status.progress, status.message) == ("detector", 0.25, "epoch 3")
    assert (status.error, status.result) == (None, None)
    end(connection, enqueued.job_id, state="failed")
    assert queue.status(enqueued.job_id).error == "too few patients"


def test_a_queue_is_emptied_under_its_former_name_too_and_older_jobs_go_first():
    assert lists_of([TRAIN]) == ["retrain", TRAIN]
    assert lists_of(QUEUES) == [LIGHT, "prelabel", PREDICT, "retrain", TRAIN]
    for wrong in ([], ["retrain"], [TRAIN, "heavy"]):
        with pytest.raises(InvalidSettings, match="light, predict, train"):
            lists_of(wrong)


def test_waiting_jobs_of_a_queue_that_no_worker_serves_are_reported(queue, connection):
    queue.enqueue_retrain(Retrain(1, "demo", "a"))
    queue.enqueue_prelabel(PrelabelProject(1))
    old = Queue(FORMER_NAMES[TRAIN], connection=connection, serializer=JSONSerializer)
    old.enqueue_call(RETRAIN, kwargs={"payload": {}}, timeout=-1)
    assert queue.condition().unserved == {PREDICT: 1, TRAIN: 2}
    worker = Worker(lists_of([PREDICT, LIGHT]), connection=connection)
    worker.register_birth()
    condition = queue.condition()
    assert (condition.waiting, condition.workers, condition.unserved) == (3, 1, {TRAIN: 2})
    worker.register_death()


def test_a_job_that_redis_does_not_have_is_unknown(queue):
    status = queue.status("retrain-1-0123456789ab")
    assert (status.state, status.result) == ("unknown", None)
    assert "is unknown" in status.error


def test_an_unreachable_redis_is_storage_unavailable(tmp_path):
    queue = JobQueue(redis_connection(f"unix://{tmp_path / 'nothing.sock'}", patience=0))
    for ask in (
        lambda: queue.enqueue_retrain(Retrain(1, "demo", "a")),
        lambda: queue.status("x"),
        lambda: queue.active(1),
    ):
        with pytest.raises(StorageUnavailable, match="Redis") as caught:
            ask()
        assert caught.value.code == "queue_unavailable"


def test_a_password_goes_with_the_url_and_never_into_an_error(private_redis):
    server = private_redis(password="s3cret-word")
    assert redis_connection(server.url).ping()
    wrong = JobQueue(redis_connection(server.url.replace("s3cret", "other"), patience=0))
    with pytest.raises(StorageUnavailable) as caught:
        wrong.active(1)
    assert "other-word" not in str(caught.value)
    assert caught.value.code == "queue_refused"


def test_a_patient_connection_outlives_a_restart_of_the_broker(private_redis):
    server = private_redis()
    connection = redis_connection(server.url, patience=30)
    queue = JobQueue(connection)
    enqueued = queue.enqueue_retrain(Retrain(1, "demo", "a"))
    server.stop()
    hasty = redis_connection(server.url, patience=0)
    with pytest.raises(redis.ConnectionError):
        hasty.ping()
    timer = threading.Timer(1.0, server.start)
    timer.start()
    assert queue.active(1) == enqueued.job_id
    timer.join()


def test_a_search_with_folds_waits_where_trainings_wait_and_a_project_has_one_search(queue, connection):
    first = queue.enqueue_look_again(LookAgain(1, 200, 5, 7))
    assert fetch(connection, first.job_id).origin == TRAIN
    again = queue.enqueue_look_again(LookAgain(1, 200))
    assert (again.job_id, again.created) == (first.job_id, False)
    assert queue.looking_again(1).id == first.job_id
    assert queue.looking_again(2) is None


def test_a_waiting_search_is_cancelled_and_a_running_one_is_told_who_cancelled_it(queue, connection):
    waiting = queue.enqueue_look_again(LookAgain(1, 200, 5))
    assert queue.cancel_looking_again(1, actor="lena") == waiting.job_id
    assert queue.looking_again(1) is None
    running = queue.enqueue_look_again(LookAgain(1, 200, 5))
    fetch(connection, running.job_id).set_status("started")
    assert queue.cancelled_by(running.job_id) is None
    assert queue.cancel_looking_again(1, actor="lena") == running.job_id
    assert queue.cancelled_by(running.job_id) == "lena"
    end(connection, running.job_id, state="failed")
    assert queue.cancel_looking_again(1, actor="lena") is None


def test_one_fold_is_refused_before_it_is_queued_and_in_a_payload():
    with pytest.raises(ValueError, match="at least 2 folds"):
        LookAgain(1, 200, 1)
    with pytest.raises(InvalidSettings):
        read_payload(LookAgain, {"project": 1, "predictions": 200, "folds": 1, "seed": 0})
    assert read_payload(LookAgain, {"project": 1, "predictions": 200}).folds == 0, "of an earlier release"
