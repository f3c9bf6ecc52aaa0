from datetime import UTC, datetime

import pytest

from mammo.annotations import AnnotationStore
from mammo.database import dataset_item, dataset_version, insert, writing
from mammo.errors import UnknownAnnotation
from mammo.models import ModelRegistry
from mammo.trace import trace
from tests.mammo.corrected import SECRET, TAGS, correct, show
from tests.mammo.models.versions import register
from tests.training.detections import square

FIRST, SECOND = square(20, 20, name="c1"), square(200, 20, name="c2")


@pytest.fixture
def site(any_engine, tmp_path):
    store = AnnotationStore(any_engine)
    yield any_engine, store, ModelRegistry(any_engine, tmp_path / "blobs")
    store.close()


def follow(site, annotation=3):
    engine, store, registry = site
    return trace(
        annotation, store=store, engine=engine, registry=registry, secret=SECRET, tags={1: TAGS}.__getitem__
    )


def keep_dataset(engine, name, content_hash):
    row = {"name": name, "project": 1, "num_items": 1, "num_excluded": 0, "last_event": 1}
    item = {"dataset": name, "annotation": 3, "image": "", "content_hash": content_hash}
    with writing(engine) as connection:
        connection.execute(insert(connection, dataset_version).values(**row, created_at=datetime.now(UTC)))
        connection.execute(insert(connection, dataset_item).values(item))


def test_the_whole_chain_from_the_prelabel_to_the_models_that_learned_from_it(site, tmp_path):
    engine, store, registry = site
    show(store, FIRST, SECOND)
    correct(store, FIRST)
    old = store.corrections(1)[0].content_hash
    correct(store, square(22, 20, name="c1"), minutes=5, user=8)
    new = store.corrections(1)[0].content_hash
    keep_dataset(engine, "d1", old)
    keep_dataset(engine, "d2", new)
    kept = register(registry, tmp_path, "a", dataset_version="d1", run="r1", recipe="demo")
    registry.promote(kept, expected_epoch=0, reason="first")
    lost = register(registry, tmp_path, "b", dataset_version="d2", run="r2", recipe="demo")
    found = follow(site)
    assert (found.task, found.project, found.present) == (5, 1, True)
    assert (found.prelabel.model_version, found.prelabel.score) == ("m1", 0.7)
    assert [finding["box"] for finding in found.prelabel.findings] == [[20, 20, 30, 30], [200, 20, 210, 30]]
    assert [[change.kind for change in deed.changes] for deed in found.history] == [
        ["accepted", "deleted"],
        ["moved", "deleted"],
    ]
    assert found.history[0].annotator != found.history[1].annotator
    assert [(t.dataset_version, t.current) for t in found.trainings] == [("d1", False), ("d2", True)]
    assert found.trainings[0].model_versions == [
        {"version": kept, "run": "r1", "recipe": "demo", "champion": True}
    ]
    assert found.trainings[1].model_versions == [
        {"version": lost, "run": "r2", "recipe": "demo", "champion": False}
    ]


def test_a_deleted_annotation_is_still_traced(site):
    _, store, _ = site
    correct(store, FIRST, told=False)
    body = b'{"action":"ANNOTATIONS_DELETED","annotations":[{"id":3}],"project":{"id":1}}'
    store.append(body, action="ANNOTATIONS_DELETED", received_at=datetime.now(UTC).replace(year=2099))
    found = follow(site)
    assert not found.present
    assert found.prelabel is None
    assert [deed.action for deed in found.history] == ["ANNOTATION_CREATED", "ANNOTATIONS_DELETED"]
    assert found.history[1].changes is None
    assert found.trainings == []


def test_an_annotation_nobody_told_of_says_where_to_look(site):
    with pytest.raises(UnknownAnnotation, match="reconcile"):
        follow(site, 99)


def test_a_trace_says_what_of_it_cannot_be_read_and_shows_the_rest(site):
    _, store, _ = site
    show(store, FIRST)
    correct(store, FIRST)
    correct(store, FIRST, minutes=5, turned=True)
    found = follow(site)
    assert [(deed.changes is None, "rotated" in deed.problem) for deed in found.history] == [
        (False, False),
        (True, True),
    ]
    show(store, FIRST, task=6, turned=True)
    correct(store, FIRST, annotation=4, task=6)
    found = follow(site, 4)
    assert (found.prelabel.findings, "rotated" in found.prelabel.problem) == ([], True)
    assert "rotated" in found.history[0].problem
