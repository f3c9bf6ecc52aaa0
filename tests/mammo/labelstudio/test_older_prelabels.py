"""Prelabels as earlier releases sent them still mean what they meant: one brush, and a rectangle a finding."""

from __future__ import annotations

from typing import Any

from mammo.geometry import Box
from mammo.labelstudio.interpretation import interpret
from mammo.labelstudio.labeling_config import ControlTags
from tests.mammo.labelstudio.drawn import A, B, brush, filled, point, polygon, rectangle

TAGS = ControlTags()


def sent(*, crumbs: tuple[Box, ...] = (), **changes: Any) -> list[dict[str, Any]]:
    """Two findings, `a` and `b`, with a brush for both."""
    meta = {"meta": {"model_version": "m1", "findings": ["a", "b"]}, "origin": "prediction", "id": "m"}
    framed = [
        rectangle(box, id=name, origin="prediction", meta={"model_version": "m1", "finding": name}, score=0.7)
        for name, box in (("a", A), ("b", B))
    ]
    prompt = point(15, 25, id="a-p0", parentID="a", meta={"finding": "a"}, origin="prediction")
    return [brush(filled(A, B, *crumbs), **(meta | changes)), *framed, prompt]


def names(result: list[dict[str, Any]]) -> list[str]:
    return [each.id for each in interpret(result, tags=TAGS).findings]


def test_an_untouched_one_is_the_two_findings_with_their_masks_and_prompts() -> None:
    first, second = interpret(sent(), tags=TAGS).findings
    assert (first.id, first.box, first.score, len(first.prompts)) == ("a", A, 0.7, 1)
    assert first.mask is not None
    assert second.mask is not None
    assert (first.mask.area, second.mask.area) == (A.area, B.area)


def test_crumbs_of_its_own_masks_become_no_findings() -> None:
    read = interpret(sent(crumbs=(Box(120, 80, 133, 90), Box(2, 100, 3, 101))), tags=TAGS)
    assert [each.id for each in read.findings] == ["a", "b"]


def test_a_deleted_rectangle_takes_its_part_of_the_brush_and_no_other() -> None:
    read = interpret([each for each in sent() if each["id"] != "b"], tags=TAGS)
    assert [(each.id, each.mask and each.mask.area) for each in read.findings] == [("a", A.area)]
    assert read.deleted == ("b",)


def test_a_deleted_rectangle_leaves_its_part_where_the_person_painted_afterwards() -> None:
    changed = [each for each in sent(origin="prediction-changed") if each["id"] != "b"]
    assert names(changed) == ["a", "part-60-20"]


def test_crumbs_of_an_eraser_are_counted_and_no_finding() -> None:
    rows = [each for each in sent() if each["id"] != "b"]
    rows[0] = brush(
        filled(A, Box(100, 80, 102, 83)), id="m", meta=rows[0]["meta"], origin="prediction-changed"
    )
    read = interpret(rows, tags=TAGS)
    assert ([each.id for each in read.findings], read.crumbs) == (["a"], 1)


def test_a_deleted_rectangle_takes_the_outlines_that_were_sent_with_it() -> None:
    parts = [
        polygon(box, id=f"{name}-o0", parentID=name, meta={"finding": name}, origin="prediction")
        for name, box in (("a", A), ("b", B))
    ]
    framed = sent()[1:3]
    assert [each.mask and each.mask.area for each in interpret([*framed, *parts], tags=TAGS).findings] == [
        A.area,
        B.area,
    ]
    left = interpret([framed[0], *parts], tags=TAGS)
    assert ([each.id for each in left.findings], left.deleted) == (["a"], ("b",))
    assert names([framed[0], parts[0], parts[1] | {"origin": "prediction-changed"}]) == ["a", "part-60-20"]
