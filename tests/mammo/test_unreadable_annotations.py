"""An annotation that cannot be read costs its readers nothing, and each of them says why it is left out."""

import tracemalloc
from collections.abc import Iterator

import pytest

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.efforts.effort_records import effort_records
from mammo.efforts.shadow_comparison import compare_versions
from mammo.errors import ImageNotFound
from mammo.geometry import Size
from mammo.models import ModelRegistry
from mammo.readings.task_readings import findings_by_image
from mammo.trace import trace
from tests.mammo.corrected import SECRET, SIZE, TAGS, correct, regions, show
from tests.mammo.labelstudio.bombs import painted
from tests.training.detections import square
from training.datasets.annotation_reading import reading_errors
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions

FINDING = square(20, 20, name="c1")
REASON = f"drawn on an image of another size than its {SIZE.width} x {SIZE.height}"


@pytest.fixture
def store(engine) -> Iterator[AnnotationStore]:
    """A task with prelabels and two annotations: one that can be read, and one with a stroke of 67 megapixels."""
    made = AnnotationStore(engine)
    for version in ("m1", "m2"):
        show(made, FINDING, version=version)
    correct(made, FINDING, annotation=3, minutes=60 * 24 * 365 * 5)
    stroke = painted(Size(8192, 8192), from_name="paint", to_name="picture")
    stroke["value"]["brushlabels"] = ["Microcalcification"]
    correct(made, annotation=4, minutes=60 * 24 * 365 * 5, result=[*regions(FINDING), stroke])
    tracemalloc.start()
    yield made
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 2**20, "nothing of that size was decoded"
    made.close()


def test_edit_effort_counts_the_other_and_names_it(store, engine):
    efforts = effort_records(1, store=store, engine=engine, secret=SECRET, tags=TAGS)
    assert [record.annotation for record in efforts.records] == [3]
    (left_out,) = efforts.unreadable
    assert (left_out.annotation, left_out.code, left_out.reason) == (4, "other_size", REASON)


def test_its_trace_says_why_it_cannot_be_read(store, engine, tmp_path):
    registry = ModelRegistry(engine, tmp_path / "blobs")
    found = trace(4, store=store, engine=engine, registry=registry, secret=SECRET, tags=lambda _: TAGS)
    (entry,) = found.history
    assert (entry.problem, entry.changes) == (REASON, None)


def test_a_comparison_of_models_leaves_it_out(store):
    (problem,) = compare_versions(1, ("m1", "m2"), store=store, tags=TAGS).unreadable
    assert REASON in problem


def test_a_dataset_version_excludes_it(store, engine, tmp_path):
    def no_image(_):
        raise ImageNotFound("not here")

    options = ReadOptions(tags=TAGS, prefer=PREFERENCE, with_automatic=False, secret=SECRET)
    dataset = build_dataset_version(
        store, engine, Blobs(tmp_path / "blobs"), project=1, options=options, open_image=no_image
    )
    assert {each.annotation_id: each.code for each in dataset.excluded} == {
        3: "image_not_found",
        4: "other_size",
    }


def test_a_second_look_at_all_annotations_names_it(store):
    errors = reading_errors(store.corrections(1), TAGS)
    assert {annotation: error.code for annotation, error in errors.items()} == {4: "other_size"}


def test_a_double_reading_refuses_it(store):
    unreadable = next(each for each in store.corrections(1) if each.annotation_id == 4)
    with pytest.raises(Exception, match=REASON):
        findings_by_image(unreadable, TAGS)


def test_it_asks_for_no_training(store):
    assert store.corrections_since(1) == 1
