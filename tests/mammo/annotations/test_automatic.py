import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from mammo.annotations import AnnotationStore
from mammo.annotations.automatic import AutomaticAnnotation, record_automatic, record_automatic_id
from mammo.database import reading
from mammo.database.tables import automatic_annotation
from mammo.efforts.effort_records import effort_records
from mammo.models import ModelRegistry
from mammo.trace import trace
from tests.mammo.corrected import SECRET, TAGS, correct, regions, show
from tests.training.detections import square

FOUND, OTHER = square(20, 20, name="c1"), square(200, 20, name="c2")
ROBOT, PERSON = 99, 7
ORDER = AutomaticAnnotation(project=1, task=5, model_version="m1", account=ROBOT, score=0.7, threshold=0.6)


@pytest.fixture
def store(any_engine):
    store = AnnotationStore(any_engine)
    show(store, FOUND)
    record_automatic(any_engine, ORDER, regions(FOUND))
    yield store
    store.close()


def test_what_the_service_submitted_is_told_from_what_people_drew(store):
    correct(store, FOUND, annotation=3, user=ROBOT)
    correct(store, FOUND, annotation=4, user=PERSON)  # the same regions, accepted by a person
    correct(store, FOUND, annotation=5, task=6, user=ROBOT)  # a task that it submitted nothing for
    assert {each.annotation_id: each.automatic for each in store.corrections(1)} == {
        3: True,
        4: False,
        5: False,
    }


def test_what_a_person_changes_is_that_persons_and_stays_so(store):
    correct(store, FOUND, user=ROBOT)
    correct(store, FOUND, OTHER, user=ROBOT, minutes=5)  # Label Studio keeps the author
    (correction,) = store.corrections(1)
    assert not correction.automatic


def test_the_service_is_no_annotator_and_asks_for_no_training(store, any_engine):
    correct(store, FOUND, user=ROBOT)
    assert store.corrections_since(1) == 0
    assert effort_records(1, store=store, engine=any_engine, secret=SECRET, tags=TAGS).records == ()
    correct(store, FOUND, annotation=4, user=PERSON)
    assert store.corrections_since(1) == 1
    (record,) = effort_records(1, store=store, engine=any_engine, secret=SECRET, tags=TAGS).records
    assert record.annotation == 4


def test_its_number_is_noted_and_it_is_known_without(store, any_engine):
    correct(store, FOUND, user=ROBOT)
    with reading(any_engine) as connection:
        assert connection.execute(sa.select(automatic_annotation.c.annotation)).all() == [(None,)]
    record_automatic_id(any_engine, ORDER, 3)
    record_automatic(any_engine, ORDER, regions(FOUND))  # a repeated job
    with reading(any_engine) as connection:
        assert connection.execute(sa.select(automatic_annotation.c.annotation)).all() == [(3,)]


def test_a_trace_says_that_no_person_was_there(store, any_engine, tmp_path):
    correct(store, FOUND, user=ROBOT)
    correct(store, FOUND, annotation=4, user=PERSON)
    registry = ModelRegistry(any_engine, tmp_path / "blobs")
    corrections = [
        trace(
            number,
            store=store,
            engine=any_engine,
            registry=registry,
            secret=SECRET,
            tags=lambda project: TAGS,
        )
        for number in (3, 4)
    ]
    assert [each.automatic for each in corrections] == [True, False]


def test_the_same_regions_as_label_studio_gives_them_back_are_the_same(store):
    """Its API returns JSON that went through its own database: key order and number forms may differ."""
    body = {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 1},
        "task": {"id": 5, "data": {}},
        "annotation": {
            "id": 3,
            "task": 5,
            "result": [dict(reversed(list(region.items()))) for region in regions(FOUND)],
            "was_cancelled": False,
            "updated_at": datetime.now(UTC).isoformat(),
            "completed_by": ROBOT,
        },
    }
    store.append(json.dumps(body).encode(), action=body["action"], received_at=datetime.now(UTC))
    (correction,) = store.corrections(1)
    assert correction.automatic
