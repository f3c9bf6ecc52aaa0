"""Findings become regions and come back the same; what people and front ends do to them in between is understood."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.labelstudio import rle
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.predictions import prediction
from mammo.labelstudio.regions import box_of, from_regions, point_of, to_regions
from mammo.masks import Mask

SIZE = Size(160, 120)
TAGS = ControlTags()
A = Box(10, 20, 40, 50)
B = Box(60, 20, 90, 60)


def finding(
    box: Box, mask: Mask | None = None, *, score: float = 0.8, name: str = "", prompts: tuple[Point, ...] = ()
) -> Finding:
    return Finding(label=CLUSTER, score=score, box=box, mask=mask, id=name, prompts=prompts)


def filled(box: Box) -> Mask:
    return Mask(np.ones((box.height, box.width), np.bool_), box.x0, box.y0)


def regions(*findings: Finding, size: Size = SIZE) -> list[dict[str, Any]]:
    return to_regions(findings, size=size, tags=TAGS, model_version="m1")


def rectangle(**value: float) -> dict[str, Any]:
    return {
        "id": "r", "type": "rectanglelabels", "from_name": "box", "to_name": "image",
        "original_width": 160, "original_height": 120, "image_rotation": 0,
        "value": {"x": 10, "y": 10, "width": 10, "height": 10, "rotation": 0, "rectanglelabels": ["Cluster"], **value},
    }  # fmt: skip


def brush(mask: Mask, **changes: Any) -> dict[str, Any]:
    return {
        "id": "b", "type": "brushlabels", "from_name": "mask", "to_name": "image",
        "original_width": 160, "original_height": 120, "image_rotation": 0,
        "value": {"format": "rle", "rle": rle.encode(mask, size=SIZE), "brushlabels": ["Cluster"]}, **changes,
    }  # fmt: skip


def polygon(points: list[Any]) -> dict[str, Any]:
    return rectangle() | {
        "type": "polygonlabels", "from_name": "outline",
        "value": {"points": points, "closed": True, "polygonlabels": ["Cluster"]},
    }  # fmt: skip


@st.composite
def disjoint_findings(draw: st.DrawFn) -> tuple[Size, list[Finding]]:
    """Up to six findings, each in its own cell of a grid, cells touching; masks anywhere inside their boxes."""
    cell = draw(st.integers(3, 30))
    size = Size(cell * 3 + draw(st.integers(0, 7)), cell * 2 + draw(st.integers(0, 7)))
    findings = []
    for index in draw(st.lists(st.integers(0, 5), unique=True)):
        x0, y0 = cell * (index % 3), cell * (index // 3)
        left, top = draw(st.integers(0, cell - 1)), draw(st.integers(0, cell - 1))
        box = Box(
            x0 + left, y0 + top, x0 + draw(st.integers(left + 1, cell)), y0 + draw(st.integers(top + 1, cell))
        )
        noise = np.random.default_rng(draw(st.integers(0, 99))).random((box.height, box.width))
        mask = Mask(noise < draw(st.sampled_from([0.0, 0.3, 0.9, 2.0])), box.x0, box.y0).tight()
        prompts = draw(
            st.lists(
                st.builds(Point, st.integers(0, size.width - 1), st.integers(0, size.height - 1)), max_size=3
            )
        )
        score = draw(st.floats(0, 1))
        findings.append(finding(box, mask, score=score, name=f"c{index}", prompts=tuple(prompts)))
    return size, findings


@settings(deadline=None)
@given(disjoint_findings())
def test_findings_in_disjoint_boxes_come_back_exactly(case: tuple[Size, list[Finding]]) -> None:
    size, findings = case
    back = from_regions(to_regions(findings, size=size, tags=TAGS, model_version="m1"), tags=TAGS)
    assert [(f.id, f.box, f.score, f.prompts) for f in back] == [
        (f.id, f.box, f.score, f.prompts) for f in findings
    ]
    for before, after in zip(findings, back, strict=True):
        assert (after.mask is None) == (before.mask is None)
        if before.mask and after.mask:
            assert after.mask.frame == before.mask.frame
            assert np.array_equal(after.mask.bitmap, before.mask.bitmap)


@given(st.data())
def test_whole_pixels_survive_percent_in_images_up_to_8192_pixels(data: st.DataObject) -> None:
    size = Size(data.draw(st.integers(1, 8192)), data.draw(st.integers(1, 8192)))
    x0, y0 = data.draw(st.integers(0, size.width - 1)), data.draw(st.integers(0, size.height - 1))
    box = Box(x0, y0, data.draw(st.integers(x0 + 1, size.width)), data.draw(st.integers(y0 + 1, size.height)))
    drawn, clicked = regions(finding(box, prompts=(Point(x0, y0),)), size=size)
    assert box_of(drawn) == box
    assert point_of(clicked) == Point(x0, y0)


def test_all_masks_share_one_brush_region_and_each_box_has_its_rectangle_with_its_points() -> None:
    made = regions(
        finding(A, filled(A), name="c1", prompts=(Point(12, 22), Point(30, 40))),
        finding(B, filled(B), name="c2"),
    )
    assert [r["type"] for r in made] == [
        "brushlabels",
        "rectanglelabels",
        "keypointlabels",
        "keypointlabels",
        "rectanglelabels",
    ]
    assert [r.get("parentID") for r in made[2:4]] == ["c1", "c1"]
    assert len({r["id"] for r in made}) == len(made)


def test_label_studios_own_validation_accepts_our_prediction() -> None:
    made = prediction(
        [finding(A, filled(A), prompts=(Point(12, 22),))], size=SIZE, tags=TAGS, model_version="m1"
    )
    interface = LabelInterface(labeling_config())
    assert interface.validate_prediction(made, return_errors=True) == []
    broken = made | {"result": [made["result"][1] | {"from_name": "other"}]}
    assert interface.validate_prediction(broken, return_errors=True) != []


def test_ids_are_the_same_for_the_same_prediction_and_differ_between_model_versions() -> None:
    one = [r["id"] for r in regions(finding(A, filled(A)))]
    assert one == [r["id"] for r in regions(finding(A, filled(A)))]
    other = to_regions([finding(A, filled(A))], size=SIZE, tags=TAGS, model_version="m2")
    assert not set(one) & {r["id"] for r in other}


def test_two_findings_with_one_id_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="different ids"):
        regions(finding(A, name="c1"), finding(B, name="c1"))


def test_a_project_without_brush_or_rectangles_gets_what_it_has_tools_for() -> None:
    only_boxes = ControlTags(brush=None, polygon=None, keypoint=None)
    made = to_regions([finding(A, filled(A))], size=SIZE, tags=only_boxes, model_version="m1")
    assert [r["type"] for r in made] == ["rectanglelabels"]


def test_a_mask_that_leaves_its_box_a_little_stays_one_finding() -> None:
    mask = filled(A.dilated(6))
    (back,) = from_regions(regions(finding(A, mask)), tags=TAGS)
    assert back.box == A
    assert back.mask is not None
    assert back.mask.dice(mask) == 1.0


def test_brush_without_a_rectangle_is_a_finding_with_its_own_box() -> None:
    back = from_regions([*regions(finding(A, filled(A), name="c1")), brush(filled(B))], tags=TAGS)
    assert [(f.id, f.box, f.score) for f in back] == [("c1", A, 0.8), ("part-60-20", B, 1.0)]


def test_a_brush_over_two_rectangles_and_the_gap_between_them_is_cut_at_the_middle_of_the_gap() -> None:
    left, right = Box(20, 20, 40, 40), Box(50, 20, 70, 40)
    result = [*regions(finding(left, name="l"), finding(right, name="r")), brush(filled(Box(20, 20, 70, 40)))]
    masks = {f.id: f.mask for f in from_regions(result, tags=TAGS)}
    assert {name: mask and mask.frame for name, mask in masks.items()} == {
        "l": Box(20, 20, 45, 40), "r": Box(45, 20, 70, 40),
    }  # fmt: skip


def test_a_far_away_tail_of_a_brush_is_not_the_rectangles() -> None:
    tail = Box(35, 30, 140, 34)
    back = from_regions([*regions(finding(A, name="c1")), brush(filled(tail))], tags=TAGS)
    assert [f.id for f in back] == ["c1", "part-55-30"]
    assert back[1].box == Box(55, 30, 140, 34)


def test_a_speck_left_by_the_eraser_is_no_finding() -> None:
    assert from_regions([brush(filled(Box(100, 100, 101, 103)))], tags=TAGS) == []


def test_a_polygon_is_the_mask_of_the_pixels_it_encloses() -> None:
    corners = [[100 * x / 160, 100 * y / 120] for x, y in [(60, 20), (90, 20), (90, 60), (60, 60)]]
    (back,) = from_regions([polygon(corners)], tags=TAGS)
    assert back.box == B
    assert back.mask is not None
    assert back.mask.area == B.area


@given(st.floats(3, 50), st.integers(30, 200))
def test_the_area_of_a_round_polygon_is_that_of_its_circle(radius: float, corners: int) -> None:
    turn = [2 * math.pi * k / corners for k in range(corners)]
    points = [
        [100 * (80.3 + radius * math.cos(t)) / 160, 100 * (60.7 + radius * math.sin(t)) / 120] for t in turn
    ]
    (back,) = from_regions([polygon(points)], tags=TAGS)
    assert back.mask is not None
    exact = corners / 2 * radius**2 * math.sin(2 * math.pi / corners)
    assert abs(back.mask.area - exact) < 4 * radius


def test_what_was_drawn_to_ask_the_model_is_no_finding() -> None:
    asked = [rectangle() | {"from_name": "prompt-box"}, rectangle() | {"from_name": "ask"}]
    assert [f.id for f in from_regions(asked, tags=TAGS)] == ["r"]
    assert from_regions(asked, tags=ControlTags(prompts=frozenset({"prompt-box", "ask"}))) == []


def test_other_labels_unlabelled_regions_and_relations_are_no_findings() -> None:
    other = rectangle() | {"value": rectangle()["value"] | {"rectanglelabels": ["Mass"]}}
    unlabelled = rectangle() | {"type": "rectangle"}
    assert (
        from_regions([other, unlabelled, {"type": "relation", "from_id": "a", "to_id": "b"}], tags=TAGS) == []
    )
    assert len(from_regions([rectangle(rectanglelabels=["cluster"])], tags=TAGS)) == 1  # type: ignore[arg-type]


def test_a_rectangle_over_the_border_is_cut_and_a_rotated_one_gives_its_bounding_box() -> None:
    assert box_of(rectangle(x=-5, width=10)) == Box(0, 12, 8, 24)
    assert box_of(rectangle(x=50, y=50, width=10, height=10, rotation=90)) == Box(68, 60, 80, 76)


@pytest.mark.parametrize(
    "region",
    [
        "text",
        rectangle() | {"original_width": 0},
        rectangle() | {"original_width": "160"},
        rectangle() | {"original_width": 10**6, "original_height": 10**6},
        rectangle() | {"image_rotation": 90},
        rectangle(x=float("nan")),
        rectangle(x=float("inf")),
        rectangle(x="1"),  # type: ignore[arg-type]
        rectangle(x=150),
        brush(filled(A), original_width=161),
        brush(filled(A), value={"brushlabels": ["Cluster"]}),
        polygon([[1, 1], [2, 2]]),
        polygon([[1, 1], [2, 2], 3]),
        polygon([[1, 1], [2, 2], [None, 3]]),
    ],
)
def test_a_region_that_cannot_be_read_is_refused(region: Any) -> None:
    with pytest.raises(InvalidRegion):
        from_regions([region], tags=TAGS)


def test_regions_of_two_image_sizes_in_one_annotation_are_refused() -> None:
    with pytest.raises(InvalidRegion, match="different image sizes"):
        from_regions([rectangle(), rectangle() | {"original_width": 161, "id": "s"}], tags=TAGS)


def test_the_least_certain_finding_decides_who_needs_a_person_first() -> None:
    def score(*scores: float) -> float:
        value = prediction(
            [finding(A, score=s, name=str(s)) for s in scores], size=SIZE, tags=TAGS, model_version="m"
        )
        return float(value["score"])

    assert score(0.9, 0.3) < score() < score(0.9)
