import json
import multiprocessing
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from mammo.annotations import AnnotationStore, shown_prelabel
from mammo.annotations import writer as writer_module
from mammo.annotations.writer import Writer
from mammo.database import dataset_version, event, insert, open_database, reading, revision, writing
from mammo.errors import StorageUnavailable
from tests.mammo.annotations.bodies import PROJECT, annotation, deleted, task, tasks_deleted, written

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NESTED = b"[" * 2000 + b"]" * 2000


@pytest.fixture
def store(any_engine):
    made = AnnotationStore(any_engine)
    yield made
    made.close()


def send(store, told, *, at=NOW):
    action, body = told
    return store.append(json.dumps(body).encode(), action=action, received_at=at)


def ids(store):
    return [correction.annotation_id for correction in store.corrections(1)]


def test_an_annotation_is_a_correction_with_its_task(store):
    send(store, written(3, 5, prediction={"model_version": "m0001-aa", "result": []}))
    (correction,) = store.corrections(1)
    assert (correction.annotation_id, correction.task_id, correction.project_id) == (3, 5, 1)
    assert correction.result == annotation(3, 5)["result"]
    assert correction.task_data == task(5)["data"]
    assert correction.updated_at == datetime(2026, 11, 23, 5, 17, 0, 938304, tzinfo=UTC)
    assert (correction.completed_by, correction.lead_time) == (7, 3.25)
    assert correction.prelabel_version == "m0001-aa"
    assert store.corrections(2) == []


def test_the_newest_revision_counts_whatever_arrives_last(store):
    send(store, written(3, 5, second=9, x=99, action="ANNOTATION_UPDATED"))
    send(store, written(3, 5, second=2, x=22))
    (correction,) = store.corrections(1)
    assert correction.result[0]["value"]["x"] == 99


def test_a_list_of_annotations_is_matched_to_its_tasks_by_id(store):
    body = {
        "annotation": [annotation(4, 1), annotation(5, 1), annotation(6, 2)],
        "task": [task(2), task(1), task(1)],  # another order than the annotations
        "project": PROJECT,
    }
    receipt = send(store, ("ANNOTATIONS_CREATED", body))
    assert receipt.num_revisions == 3
    assert [(c.annotation_id, c.task_data["image"]) for c in store.corrections(1)] == [
        (4, "/data/1.png"),
        (5, "/data/1.png"),
        (6, "/data/2.png"),
    ]


def test_skipped_and_deleted_annotations_are_no_corrections(store):
    for number in (1, 2, 3, 4):
        send(store, written(number, number * 10))
    send(store, written(2, 20, second=5, cancelled=True, action="ANNOTATION_UPDATED"))
    send(store, deleted(3))
    send(store, tasks_deleted(40))
    assert ids(store) == [1]


def test_a_deletion_that_overtakes_its_annotation_still_deletes(store):
    send(store, deleted(3))
    send(store, tasks_deleted(9))
    send(store, written(3, 5))
    send(store, written(4, 9))
    assert ids(store) == []


def test_the_same_event_twice_is_one_event(store, any_engine):
    first = send(store, written(3, 5))
    again = send(store, written(3, 5), at=NOW + timedelta(hours=1))
    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.event == first.event
    assert count_events(any_engine) == 1


def test_every_request_to_train_is_an_event_of_its_own(store, any_engine):
    receipts = [send(store, ("START_TRAINING", {"project": PROJECT})) for _ in range(3)]
    assert [receipt.duplicate for receipt in receipts] == [False] * 3
    assert receipts[0].project == 1
    assert count_events(any_engine) == 3
    assert send(store, ("PROJECT_UPDATED", {"project": PROJECT})).duplicate is False
    assert send(store, ("PROJECT_UPDATED", {"project": PROJECT})).duplicate is True


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("A_NEW_ACTION", b'{"project": {"id": 1}}'),
        ("ANNOTATION_CREATED", b"{}"),
        ("ANNOTATION_CREATED", b'{"annotation": null, "task": [], "project": 3}'),
        ("ANNOTATION_CREATED", b'{"annotation": {"id": true, "task": 1}, "task": {"id": 1, "data": {}}}'),
        ("ANNOTATION_CREATED", json.dumps(written(3, 5, updated_at="yesterday")[1]).encode()),
        ("ANNOTATION_CREATED", json.dumps(written(3, 5, updated_at="0001-01-01T00:00:00+14:00")[1]).encode()),
        ("ANNOTATION_CREATED", json.dumps(written(2**63, 5)[1]).encode()),
        ("ANNOTATION_CREATED", json.dumps(written(3, 5, result="all")[1]).encode()),
        ("ANNOTATION_CREATED", json.dumps(written(3, 5, result=[1])[1]).encode()),
        ("ANNOTATION_CREATED", json.dumps(written(3, 5)[1]).encode().replace(b"3.25", NESTED)),
        ("ANNOTATION_CREATED", json.dumps({**written(3, 5)[1], "task": {"id": 5}}).encode()),
        ("ANNOTATIONS_DELETED", b'{"annotations": {"id": 1}}'),
        ("ANNOTATIONS_DELETED", b'{"annotations": [{}, "x", {"id": -1}, {"id": 1.0}]}'),
        ("TASKS_DELETED", b'{"tasks": 5}'),
        ("TASKS_CREATED", b'{"tasks": [{"id": 1}]}'),
        ("x" * 5000, b"[1, 2]"),
        ("ANNOTATION_CREATED", b'"\\ud800"'),
        ("ANNOTATION_CREATED", b"\xff\xfe"),
    ],
)
def test_a_body_that_says_nothing_useful_is_kept_word_for_word_and_not_used(store, any_engine, action, body):
    receipt = store.append(body, action=action, received_at=NOW)
    assert (receipt.duplicate, receipt.num_revisions) == (False, 0)
    with reading(any_engine) as connection:
        row = connection.execute(sa.select(event)).one()
    assert (row.body, row.action, row.received_at) == (body, action, NOW)
    assert ids(store) == []


def test_odd_optional_fields_do_not_cost_the_annotation(store):
    odd = {"completed_by": "me", "lead_time": True, "prediction": [], "was_cancelled": None}
    send(store, written(3, 5, **odd))
    (correction,) = store.corrections(1)
    assert (correction.completed_by, correction.lead_time, correction.prelabel_version) == (None, None, None)


def test_what_was_acknowledged_is_there_after_the_process_is_gone(store, any_engine):
    send(store, written(3, 5))
    other = open_database(
        any_engine.url.render_as_string(hide_password=False)
    )  # as another process would: the writer was never closed
    second = AnnotationStore(other)
    assert ids(second) == [3]
    second.close()
    other.dispose()


def test_many_threads_write_at_once_and_all_of_it_is_kept(store, any_engine):
    receipts = []

    def work(start):
        for number in range(start, start + 25):
            receipts.append(send(store, written(number, number)))

    threads = [threading.Thread(target=work, args=(1 + 100 * turn,)) for turn in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({receipt.event for receipt in receipts}) == 200
    assert len(ids(store)) == 200


def test_a_full_database_is_said_so_and_the_store_goes_on_when_there_is_room(engine):
    full = True

    @sa.event.listens_for(engine, "begin")
    def limit(connection):
        connection.exec_driver_sql(f"PRAGMA max_page_count = {60 if full else 100_000}")

    store = AnnotationStore(engine)
    big = written(3, 5, result=[{"rle": [255] * 400_000}])
    with pytest.raises(StorageUnavailable, match="full"):
        send(store, big)
    full = False
    assert ids(store) == []
    assert send(store, big).duplicate is False
    assert ids(store) == [3]
    store.close()


def test_a_locked_database_is_said_so(engine):
    hasty = open_database(str(engine.url), busy_seconds=0.05)
    store = AnnotationStore(hasty)
    with writing(engine), pytest.raises(StorageUnavailable, match="locked"):
        send(store, written(3, 5))
    assert send(store, written(3, 5)).duplicate is False
    store.close()
    hasty.dispose()


def test_a_closed_store_takes_nothing_but_has_written_everything(engine):
    store = AnnotationStore(engine)
    send(store, written(3, 5))
    store.close()
    store.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        send(store, written(4, 5))
    assert count_events(engine) == 1


def test_one_failing_write_does_not_take_its_neighbours_with_it(any_engine):
    writer = Writer(any_engine)
    outcomes = {}

    def fail(connection):
        connection.execute(insert(connection, event).values(row("lost")))
        raise KeyError("mine")

    def keep(connection):
        connection.execute(insert(connection, event).values(row("kept")))
        return "done"

    def attempt(name, write):
        try:
            outcomes[name] = writer.run(write)
        except KeyError as error:
            outcomes[name] = error

    with held(writer) as waiting:
        waiting += [threading.Thread(target=attempt, args=item) for item in (("bad", fail), ("good", keep))]
    assert isinstance(outcomes["bad"], KeyError)
    assert outcomes["good"] == "done"
    assert writer.problem is None
    with reading(any_engine) as connection:
        assert list(connection.scalars(sa.select(event.c.key))) == ["kept"]


def test_a_write_that_waits_too_long_for_the_others_is_refused(engine, monkeypatch):
    monkeypatch.setattr(writer_module, "TURN_SECONDS", 0.05)
    store = AnnotationStore(engine)
    with held(store._writer):
        with pytest.raises(StorageUnavailable, match="others are writing"):
            send(store, written(3, 5))
        assert store.problem == "storage_unavailable"
    assert send(store, written(3, 5)).duplicate is False
    assert store.problem is None


def _send_from_a_process(url, start):
    store = AnnotationStore(open_database(url))
    for number in range(start, start + 25):
        send(store, written(number, number))


def test_several_processes_write_at_once_and_all_of_it_is_kept(store, any_engine):
    url = any_engine.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_send_from_a_process, args=(url, 1 + 100 * turn)) for turn in range(3)
    ]
    for process in processes:
        process.start()
    for number in range(401, 426):
        send(store, written(number, number))
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 3
    assert len(ids(store)) == 100


def test_new_corrections_are_counted_from_a_moment_or_from_the_last_dataset_version(store, any_engine):
    send(store, written(1, 1), at=NOW)
    send(store, written(2, 2), at=NOW + timedelta(minutes=1))
    assert store.corrections_since(1) == 2
    assert store.corrections_since(1, NOW) == 1
    with writing(any_engine) as connection:
        built = {
            "name": "d",
            "project": 1,
            "num_items": 2,
            "num_excluded": 0,
            "last_event": store.last_event(),
        }
        connection.execute(insert(connection, dataset_version).values(**built, created_at=NOW))
    assert store.corrections_since(1) == 0
    send(store, written(2, 2, second=9, action="ANNOTATION_UPDATED"))
    send(store, written(3, 3))
    send(store, deleted(1))
    assert store.corrections_since(1) == 2
    assert store.corrections_since(2) == 0


def test_a_prelabel_is_kept_per_model_version_and_the_latest_before_a_moment_is_found(store):
    def propose(version, score):
        store.record_prelabel(
            project=1,
            task=5,
            model_version=version,
            regions=[{"id": version}],
            score=score,
            images={"": "0" * 64},
            num_cut=0,
            shown=True,
        )

    propose("m1", 0.5)
    propose("m2", 0.75)
    propose("m1", 0.25)
    assert store.prelabel(1, 5, "m1").score == 0.25
    assert store.prelabel(1, 5, "m2").regions == [{"id": "m2"}]
    assert store.prelabel(1, 6, "m1") is None
    newest = store.prelabel(1, 5, "m1").created_at
    ((task, proposals),) = store.prelabel_headers(1, task=5)
    assert task == 5

    def before(moment):
        found = shown_prelabel(proposals, reported_version=None, first_updated_at=moment)
        return found and store.prelabels_by_id([found.id])[found.id].model_version

    assert before(newest + timedelta(seconds=1)) == "m1"
    assert before(newest) == "m2"
    assert before(newest - timedelta(days=1)) is None


def row(key):
    return {"key": key, "action": "A", "project": 1, "received_at": NOW, "body": b"{}"}


def count_events(engine):
    with reading(engine) as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(event))


@contextmanager
def held(writer):
    """Within it, a write is under way; threads added to the list are started before it ends, and joined."""
    begun, gate, waiting = threading.Event(), threading.Event(), []

    def hold(connection):
        begun.set()
        gate.wait(30)

    holder = threading.Thread(target=writer.run, args=(hold,))
    holder.start()
    assert begun.wait(30)
    yield waiting
    for thread in waiting:
        thread.start()
    gate.set()
    for thread in (holder, *waiting):
        thread.join(30)


def test_equal_events_that_come_together_are_kept_once(store, any_engine):
    bodies = [json.dumps(written(number, 1)[1]).encode() for number in (1, 1, 2, 1, 2, 2)]
    receipts = []

    def work(body):
        receipts.append(store.append(body, action="ANNOTATION_CREATED", received_at=NOW))

    with held(store._writer) as waiting:
        waiting += [threading.Thread(target=work, args=(body,)) for body in bodies]
    assert sorted(receipt.duplicate for receipt in receipts) == [False] * 2 + [True] * 4
    assert len({receipt.event for receipt in receipts}) == 2
    with reading(any_engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(revision)) == 2
