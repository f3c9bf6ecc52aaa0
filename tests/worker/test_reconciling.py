import json
from datetime import UTC, datetime

import pytest

from mammo.annotations import AnnotationStore
from worker.reconciling import reconcile

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def annotation(number, *, second=0, x=1, cancelled=False, completed_by=7):
    return {
        "id": number,
        "result": [{"id": "r", "value": {"x": x}}],
        "was_cancelled": cancelled,
        "updated_at": f"2026-11-23T05:17:{second:02d}.000000Z",
        "completed_by": completed_by,
    }


class FakeLabelStudio:
    """Tasks with their annotations; `hidden` ones are left out of the list of tasks, as its filters may do."""

    def __init__(self, **tasks):
        self.known = {int(name[1:]): annotations for name, annotations in tasks.items()}
        self.hidden = set()

    def tasks(self, project, *, all_fields=False):
        assert all_fields
        for number, annotations in self.known.items():
            shown = [each for each in annotations if each["id"] not in self.hidden]
            yield {
                "id": number,
                "data": {"image": f"{number}.png"},
                "annotations": shown,
                "predictions": [{}],
            }

    def annotations(self, task):
        return self.known[task]


@pytest.fixture
def store(engine):
    made = AnnotationStore(engine)
    yield made
    made.close()


def webhook(store, task, told):
    body = {"annotation": {**told, "task": task}, "task": {"id": task, "data": {"image": f"{task}.png"}}}
    body["project"] = {"id": 1}
    store.append(json.dumps(body).encode(), action="ANNOTATION_CREATED", received_at=NOW)


def view(store):
    return {c.annotation_id: (c.task_id, c.result[0]["value"]["x"]) for c in store.corrections(1)}


def test_what_no_webhook_told_of_is_found(store):
    webhook(store, 1, annotation(10))
    server = FakeLabelStudio(t1=[annotation(10), annotation(11, x=2)], t2=[annotation(12, x=3)])
    assert reconcile(1, client=server, store=store) == 2
    assert view(store) == {10: (1, 1), 11: (1, 2), 12: (2, 3)}


def test_a_second_look_finds_nothing_new(store):
    server = FakeLabelStudio(t1=[annotation(10), annotation(11, cancelled=True)])
    assert reconcile(1, client=server, store=store) == 1
    assert reconcile(1, client=server, store=store) == 0
    assert list(view(store)) == [10]


def test_a_missed_update_counts_and_a_late_listing_does_not(store):
    webhook(store, 1, annotation(10, second=5, x=5))
    assert reconcile(1, client=FakeLabelStudio(t1=[annotation(10, second=3, x=3)]), store=store) == 0
    assert view(store) == {10: (1, 5)}
    assert reconcile(1, client=FakeLabelStudio(t1=[annotation(10, second=9, x=9)]), store=store) == 1
    assert view(store) == {10: (1, 9)}


def test_a_missed_skip_takes_the_correction_away(store):
    webhook(store, 1, annotation(10))
    server = FakeLabelStudio(t1=[annotation(10, second=9, cancelled=True)])
    assert reconcile(1, client=server, store=store) == 1
    assert view(store) == {}


def test_a_missed_deletion_is_believed_only_when_asked_twice(store):
    webhook(store, 1, annotation(10))
    webhook(store, 1, annotation(11))
    server = FakeLabelStudio(t1=[annotation(10), annotation(11)])
    server.hidden = {10, 11}
    assert reconcile(1, client=server, store=store) == 0
    server.known[1] = [annotation(11)]
    assert reconcile(1, client=server, store=store) == 1
    assert list(view(store)) == [11]


def test_tasks_that_are_not_listed_lose_nothing(store):
    webhook(store, 1, annotation(10))
    assert reconcile(1, client=FakeLabelStudio(), store=store) == 0
    assert list(view(store)) == [10]


def test_a_user_described_at_length_is_the_same_user(store):
    server = FakeLabelStudio(t1=[annotation(10, completed_by={"id": 7, "email": "somebody"})])
    reconcile(1, client=server, store=store)
    (correction,) = store.corrections(1)
    assert correction.completed_by == 7
