"""Places where two versions differ: what only one has comes first, and one task does not hide the others."""

from mammo.efforts.differing_places import MAX_PER_TASK, differing_places
from tests.mammo.corrected import TAGS, show
from tests.training.detections import square

FIRST, SECOND, THIRD = (square(x, 20, name=name) for x, name in ((20, "c1"), (120, "c2"), (220, "c3")))


def places(store, tasks=(5, 6), limit=24):
    return differing_places(1, ("m1", "m2"), tasks, store=store, tags=TAGS, limit=limit)


def test_a_finding_of_one_version_and_another_outline_are_places_and_equal_findings_are_none(store):
    show(store, FIRST, SECOND, version="m1")
    show(store, FIRST, square(124, 20, name="c2"), THIRD, version="m2", shown=False)
    only, other = places(store)
    assert (only.kind, only.first, only.second.box, only.overlap) == ("second_only", None, THIRD.box, 0.0)
    assert other.kind == "reshaped"
    assert 0 < other.overlap < 1
    assert other.box == SECOND.box.union(square(124, 20).box)
    assert other.image_sha256 == "ab" * 32


def test_places_follow_the_order_of_the_tasks_within_the_limits(store):
    many = [square(40 * n, 20, name=f"c{n}") for n in range(MAX_PER_TASK + 2)]
    show(store, *many, version="m1", task=5)
    show(store, version="m2", task=5, shown=False)
    show(store, FIRST, version="m1", task=6)
    show(store, version="m2", task=6, shown=False)
    show(store, FIRST, version="m1", task=7)  # m2 has not seen it
    assert [each.task for each in places(store, (6, 5, 7))] == [6, *[5] * MAX_PER_TASK]
    assert [each.task for each in places(store, (5, 6), limit=3)] == [5, 5, 5]


def test_a_prelabel_that_cannot_be_interpreted_has_no_places(store):
    show(store, FIRST, version="m1", turned=True)
    show(store, SECOND, version="m2", shown=False)
    assert places(store) == []


def test_versions_that_have_seen_different_images_say_so(store):
    show(store, FIRST, version="m1")
    show(store, version="m2", shown=False, sha256="cd" * 32)
    (place,) = places(store)
    assert place.image_sha256 == ""
