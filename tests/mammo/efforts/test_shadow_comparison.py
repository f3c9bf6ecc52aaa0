import pytest
import sqlalchemy as sa

from mammo.annotations import AnnotationStore
from mammo.database import writing
from mammo.efforts.shadow_comparison import compare_versions, named_versions
from mammo.errors import ModelNotFound
from mammo.models import ModelRegistry
from tests.mammo.corrected import SECRET, TAGS, correct, show
from tests.mammo.models.versions import register
from tests.training.detections import square

LATER = 60 * 24 * 365 * 5
"""Minutes: after every prelabel that a test makes."""

FIRST, SECOND, THIRD = (square(x, 20, name=name) for x, name in ((20, "c1"), (120, "c2"), (220, "c3")))


@pytest.fixture
def store(any_engine):
    store = AnnotationStore(any_engine)
    yield store
    store.close()


def test_two_versions_agree_on_the_findings_that_overlap(store):
    show(store, FIRST, SECOND, version="m1")
    show(store, FIRST, THIRD, version="m2", shown=False)
    show(store, FIRST, version="m1", task=6)  # m2 has not seen it
    comparison = compare_versions(1, ("m1", "m2"), store=store, tags=TAGS)
    assert (comparison.agreement.tasks, comparison.agreement.both) == (1, 1)
    assert (comparison.agreement.first_only, comparison.agreement.second_only) == (1, 1)
    assert comparison.agreement.dice == pytest.approx(0.5)
    assert comparison.distances == ()


def test_the_tasks_on_which_two_versions_differ_most_come_first(store):
    for task, findings in ((5, (FIRST,)), (6, (FIRST, SECOND, THIRD)), (7, (SECOND,))):
        show(store, FIRST, version="m1", task=task)
        show(store, *findings, version="m2", task=task, shown=False)
    differing = compare_versions(1, ("m1", "m2"), store=store, tags=TAGS).differing
    assert [(each.task, each.first_only, each.second_only) for each in differing] == [(7, 1, 1), (6, 0, 2)]


def test_each_version_is_compared_with_the_corrections_and_blind_images_are_reported_separately(store):
    for task, shown in ((5, False), (6, False), (7, True)):
        show(store, FIRST, SECOND, version="m1", task=task, shown=shown)
        show(store, FIRST, version="m2", task=task, shown=False)
        correct(store, FIRST, annotation=task, task=task, names_version=False, minutes=LATER)
    comparison = compare_versions(1, ("m1", "m2"), store=store, tags=TAGS)
    rows = {(each.arm, each.version): each for each in comparison.distances}
    assert {key: (each.images, each.accept_rate, each.false_per_image) for key, each in rows.items()} == {
        ("control", "m1"): (2, 0.5, 1.0),
        ("control", "m2"): (2, 1.0, 0.0),
        ("prelabelled", "m1"): (1, 0.5, 1.0),
        ("prelabelled", "m2"): (1, 1.0, 0.0),
    }
    assert comparison.dice_gain == pytest.approx(1 / 3)
    assert comparison.dice_gain_interval == pytest.approx((1 / 3, 1 / 3))
    assert comparison.to_json()["agreement"]["tasks"] == 3


def test_a_correction_that_a_version_could_have_learned_from_does_not_count(store):
    show(store, FIRST, version="m1")
    correct(store, FIRST, names_version=False)  # years ago
    show(store, FIRST, version="m2", shown=False)
    assert compare_versions(1, ("m1", "m2"), store=store, tags=TAGS).distances == ()


def test_a_version_is_not_compared_with_itself(store):
    with pytest.raises(ModelNotFound, match="name two different versions"):
        compare_versions(1, ("m1", "m1"), store=store, tags=TAGS)


def test_versions_are_named_by_alias_or_by_name(any_engine, tmp_path):
    registry = ModelRegistry(any_engine, tmp_path / "blobs")
    one, two = register(registry, tmp_path, b"one"), register(registry, tmp_path, b"two")
    registry.promote(one, expected_epoch=0, reason="first")
    with pytest.raises(ModelNotFound, match="no model version challenger"):
        named_versions(("champion", "challenger"), registry)
    registry.name_challenger(two, reason="run")
    assert named_versions(("champion", "challenger"), registry) == (one, two)
    assert named_versions((two, "champion"), registry) == (two, one)
    with pytest.raises(ModelNotFound, match="no model version m9"):
        named_versions(("m9", "champion"), registry)


def test_the_control_is_compared_with_the_champion_of_its_time_though_a_shadow_spoke_later(
    store, any_engine, tmp_path
):
    from mammo.efforts.effort_records import effort_records

    registry = ModelRegistry(any_engine, tmp_path / "blobs")
    champion, shadow = register(registry, tmp_path, b"one"), register(registry, tmp_path, b"two")
    registry.promote(champion, expected_epoch=0, reason="first")
    show(store, FIRST, SECOND, version=champion, shown=False)
    show(store, FIRST, version=shadow, shown=False)
    correct(store, FIRST, names_version=False, minutes=LATER)
    (record,) = effort_records(1, store=store, engine=any_engine, secret=SECRET, tags=TAGS).records
    assert (record.arm, record.model_version, record.effort.deleted) == ("control", champion, 1)
    with writing(any_engine) as connection:  # without a recorded champion, the newest counts
        connection.execute(sa.text("UPDATE promotion SET alias = 'other'"))
    (record,) = effort_records(1, store=store, engine=any_engine, secret=SECRET, tags=TAGS).records
    assert record.model_version == shadow


def test_what_cannot_be_read_is_in_no_figure_and_is_named(store):
    for task, shown_turned, left_turned in ((5, False, False), (6, False, True), (7, True, False)):
        show(store, FIRST, version="m1", task=task, shown=False)
        show(store, FIRST, version="m2", task=task, shown=False, turned=shown_turned)
        correct(
            store, FIRST, annotation=task, task=task, names_version=False, minutes=LATER, turned=left_turned
        )
    comparison = compare_versions(1, ("m1", "m2"), store=store, tags=TAGS)
    assert (comparison.agreement.tasks, comparison.agreement.both) == (2, 2)
    assert [(each.version, each.images) for each in comparison.distances] == [("m1", 1), ("m2", 1)]
    named = [problem.partition(":")[0] for problem in comparison.unreadable]
    assert sorted(named) == ["annotation 6, task 6", "prelabel of m2, task 7"]
