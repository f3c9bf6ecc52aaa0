from dataclasses import replace
from itertools import pairwise

from training.datasets.diff import dataset_diff
from training.datasets.items import Item
from training.datasets.versions import DatasetVersion

BOX = {"box": [1, 2, 3, 4], "mask": None}


def item(image, *findings, annotation=1):
    where = {"task_id": 1, "annotation_id": annotation, "updated_at": "", "content_hash": "", "task_data": {}}
    who = {
        "patient": "p",
        "annotator": "a",
        "view": None,
        "spacing_mm": None,
        "size": (9, 9),
        "fold": "train",
    }
    return Item(image=image, findings=findings, **where, **who)


def version(*items):
    return DatasetVersion("", 1, items, ())


def test_images_are_added_removed_changed_or_the_same():
    before = version(item("a", BOX), item("b", BOX), item("c"))
    after = version(item("d"), item("b"), item("a", BOX, annotation=7))
    found = dataset_diff(before, after)
    assert (found.added, found.removed, found.changed, found.same) == (("d",), ("c",), ("b",), 1)


def test_a_version_does_not_differ_from_itself_whatever_the_order():
    items = (item("a", BOX), item("b"))
    found = dataset_diff(version(*items), replace(version(*items), items=items[::-1]))
    assert (found.added, found.removed, found.changed, found.same) == ((), (), (), 2)


def test_a_place_that_is_marked_or_outlined_later_is_a_change():
    pixel = {"box": [1, 2, 2, 3], "mask": None}
    versions = [version(item("a")), version(item("a", pixel | {"point": True})), version(item("a", pixel))]
    for before, after in pairwise(versions):
        assert dataset_diff(before, after).changed == ("a",)
