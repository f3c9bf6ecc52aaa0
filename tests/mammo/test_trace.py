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
    champion = register(registry, tmp_path, "a", dataset_version="d1", run="r1", recipe="demo")
    registry.promote(champion, expected_epoch=0, reason="first")
    challenger = register(registry, tmp_path, "b", dataset_version="d2", run="r2", recipe="demo")
    traced = follow(site)
    assert (traced.task, traced.project, traced.present) == (5, 1, True)
    assert (traced.prelabel.model_version, traced.prelabel.score) == ("m1", 0.7)
    assert [finding["box"] for finding in traced.prelabel.findings] == [[20, 20, 30, 30], [200, 20, 210, 30]]
    assert [[change.kind for change in entry.changes] for entry in traced.history] == [
        ["accepted", "deleted"],
        ["moved", "deleted"],
    ]
    assert traced.history[0].annotator != traced.history[1].annotator
    assert [(t.dataset_version, t.current) for t in traced.dataset_uses] == [("d1", False), ("d2", True)]
    assert traced.dataset_uses[0].model_versions == [
        {"version": champion, "run": "r1", "recipe": "demo", "champion": True}
    ]
    assert traced.dataset_uses[1].model_versions == [
        {"version": challenger, "run": "r2", "recipe": "demo", "champion": False}
    ]


def test_a_deleted_annotation_is_still_traced(site):
    _, store, _ = site
    correct(store, FIRST, names_version=False)
    body = b'{"action":"ANNOTATIONS_DELETED","annotations":[{"id":3}],"project":{"id":1}}'
    store.append(body, action="ANNOTATIONS_DELETED", received_at=datetime.now(UTC).replace(year=2099))
    traced = follow(site)
    assert not traced.present
    assert traced.prelabel is None
    assert [entry.action for entry in traced.history] == ["ANNOTATION_CREATED", "ANNOTATIONS_DELETED"]
    assert traced.history[1].changes is None
    assert traced.dataset_uses == []


def test_an_unknown_annotation_is_refused_with_advice(site):
    with pytest.raises(UnknownAnnotation, match="reconcile"):
        follow(site, 99)


def test_a_trace_names_the_problem_of_an_unreadable_region_and_shows_the_rest(site):
    _, store, _ = site
    show(store, FIRST)
    correct(store, FIRST)
    correct(store, FIRST, minutes=5, turned=True)
    traced = follow(site)
    assert [(entry.changes is None, "rotated" in entry.problem) for entry in traced.history] == [
        (False, False),
        (True, True),
    ]
    show(store, FIRST, task=6, turned=True)
    correct(store, FIRST, annotation=4, task=6)
    traced = follow(site, 4)
    assert (traced.prelabel.findings, "rotated" in traced.prelabel.problem) == ([], True)
    assert "rotated" in traced.history[0].problem


@pytest.mark.parametrize("num_cut", [0, 31])
def test_a_trace_tells_how_many_findings_the_annotator_was_not_shown(site, num_cut):
    show(site[1], FIRST, num_cut=num_cut)
    correct(site[1], FIRST)
    traced = follow(site)
    assert traced.prelabel.num_cut == num_cut
    assert traced.to_json()["prelabel"]["num_cut"] == num_cut


def test_of_a_prelabel_from_before_findings_were_counted_a_trace_does_not_say_that_it_showed_all(site):
    engine, store, _ = site
    show(store, FIRST)
    correct(store, FIRST)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE prelabel SET num_cut = NULL")
    assert follow(site).prelabel.num_cut is None
