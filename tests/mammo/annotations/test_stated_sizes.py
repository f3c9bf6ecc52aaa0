"""An event is stored whatever its regions state; a revision that nobody will read is marked with the reason's code."""

import pytest
import sqlalchemy as sa

from mammo.annotations import AnnotationStore
from mammo.annotations.stated_sizes import problem_of
from mammo.database import event, image_pin, reading, revision, writing
from mammo.geometry import Size
from tests.mammo.corrected import SIZE, correct, regions, show
from tests.mammo.labelstudio.bombs import full_stroke, outlined, painted
from tests.training.detections import square

BOMB = Size(11584, 11584)
OTHER = Size(4000, 6000)


@pytest.fixture
def store(any_engine):
    made = AnnotationStore(any_engine)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("region", "code"),
    [
        (painted(BOMB), "too_large"),
        (painted(Size(30_000, 10)), "too_large"),
        (painted(OTHER), "other_size"),
        (painted(SIZE, full_stroke(OTHER)), "invalid_region"),
        (painted(SIZE, original_width=-1), "invalid_region"),
        (outlined([[1, 1]] * 20_001, SIZE), "invalid_region"),
        (outlined([[1, 1], [2, 2], [float("nan"), 1]], SIZE), "invalid_region"),
        (outlined([[1, 1], [2, 2], [1e300, 1]], SIZE), "invalid_region"),
    ],
)
def test_the_annotation_is_kept_and_marked(store, any_engine, region, code):
    show(store, square(20, 20, name="c1"))
    receipt = correct(store, result=[*regions(square(20, 20, name="c1")), region])
    assert receipt.problems == {3: code}
    with reading(any_engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(event)) == 1
        assert connection.scalars(sa.select(revision.c.problem)).one() == code
    (correction,) = store.corrections(1)
    assert len(correction.result) == 2
    assert correction.sizes == {"": SIZE}
    assert store.corrections_since(1) == 0, "no model learns from it, so it asks for no training"


def test_what_can_be_read_is_not_marked(store):
    show(store, square(20, 20, name="c1"))
    receipt = correct(store, square(20, 20, name="c1"))
    assert receipt.problems == {}
    assert store.corrections_since(1) == 1


def test_a_size_counts_only_once_it_is_known(store):
    assert correct(store, result=[painted(OTHER)]).problems == {}
    (correction,) = store.corrections(1)
    assert correction.sizes == {}
    show(store, square(20, 20, name="c1"))
    (correction,) = store.corrections(1)
    assert correction.sizes == {"": SIZE}, "readers compare it all the same"


def test_the_size_of_an_image_is_that_when_it_was_first_shown(store):
    store.pin_image(1, 5, "", "ab" * 32, size=SIZE)
    store.pin_image(1, 5, "", "cd" * 32, size=OTHER)
    correct(store, square(20, 20, name="c1"))
    assert store.corrections(1)[0].sizes == {"": SIZE}
    assert store.pinned_images(1) == {(5, ""): "ab" * 32}


def test_the_size_of_an_image_that_an_earlier_release_recorded_is_added(store, any_engine):
    store.pin_image(1, 5, "", "ab" * 32, size=SIZE)
    with writing(any_engine) as connection:
        connection.execute(sa.update(image_pin).values(width=None, height=None))
    correct(store, square(20, 20, name="c1"))
    assert store.corrections(1)[0].sizes == {}
    store.pin_image(1, 5, "", "cd" * 32, size=OTHER)
    assert store.corrections(1)[0].sizes == {}, "it is another image"
    store.pin_image(1, 5, "", "ab" * 32, size=SIZE)
    assert store.corrections(1)[0].sizes == {"": SIZE}


def test_of_a_task_with_several_images_only_what_no_image_can_have_is_marked():
    sizes = {"left": SIZE, "right": OTHER}
    assert problem_of([painted(OTHER), painted(SIZE)], sizes) is None
    assert problem_of([painted(Size(7, 7))], sizes) is None, "which image it lies on is not known"
    assert problem_of([painted(OTHER), painted(BOMB)], sizes) == "too_large"


@pytest.mark.parametrize(
    "region",
    [
        {},
        {"value": 5},
        {"original_width": 5, "original_height": 5, "value": {"rle": "x", "points": [1, "x", []]}},
    ],
)
def test_regions_of_any_form_are_looked_at_without_an_error(region):
    assert problem_of([region], {"": SIZE}) in (None, "other_size")
