"""What people and front ends do to regions is understood, or refused aloud: an empty result means "saw none"."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.labelstudio.cluster_regions import require_on_images
from mammo.labelstudio.interpretation import from_regions, interpret
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.rendering import to_regions
from mammo.masks import Mask
from tests.mammo.labelstudio.drawn import (
    SIZE,
    A,
    B,
    bitmask,
    brush,
    ellipse,
    filled,
    point,
    polygon,
    rectangle,
    region,
    round_vector,
    vector,
)

TAGS = ControlTags()
BRUSH = TAGS.painted()
BIG = Size(2560, 3328)
"""Of a mammogram: what can be seen on a screen is a share of it."""


def finding(box: Box, mask: Mask | None = None, *, name: str = "c1") -> Finding:
    return Finding(label=CLUSTER, score=0.8, box=box, mask=mask, id=name)


def sent(*findings: Finding, tags: ControlTags = TAGS, size: Size = SIZE) -> list[dict[str, Any]]:
    """A prelabel as a browser hands it back: every region untouched."""
    regions = to_regions(findings, size=size, tags=tags, model_version="m1")
    return [region | {"origin": "prediction"} for region in regions]


def repainted(region: dict[str, Any], mask: Mask | None, *, size: Size = SIZE) -> dict[str, Any]:
    from mammo.labelstudio import rle

    value = region["value"] | {"rle": rle.encode(mask, size=size)}
    return region | {"origin": "prediction-changed", "value": value}


def test_an_outline_an_ellipse_a_vector_and_a_bitmask_are_one_finding_each() -> None:
    for drawn in (polygon(A), vector(A), bitmask(filled(A))):
        (found,) = from_regions([drawn], tags=TAGS)
        assert found.box == A, drawn["type"]
        assert found.mask is not None
        assert found.mask.area == A.area
    (oval,) = from_regions([ellipse(80, 60, 30, 12)], tags=TAGS)
    assert oval.mask is not None
    assert oval.mask.area == pytest.approx(math.pi * 30 * 12, rel=0.02)


@given(st.floats(5, 25), st.floats(5, 25), st.floats(0, 360))
def test_a_turned_ellipse_covers_the_pixels_that_its_equation_says(
    a: float, b: float, degrees: float
) -> None:
    (found,) = from_regions([ellipse(80.3, 60.7, a, b, rotation=degrees)], tags=TAGS)
    rows, columns = np.mgrid[: SIZE.height, : SIZE.width] + 0.5
    x, y, turn = columns - 80.3, rows - 60.7, math.radians(degrees)
    along, across = x * math.cos(turn) + y * math.sin(turn), -x * math.sin(turn) + y * math.cos(turn)
    expected = (along / a) ** 2 + (across / b) ** 2 <= 1
    assert found.mask is not None
    assert np.count_nonzero(found.mask.full(SIZE) != expected) <= 0.02 * expected.sum() + 4


def test_the_curves_of_a_vector_are_followed() -> None:
    (found,) = from_regions([round_vector(80, 60, 30)], tags=TAGS)
    assert found.mask is not None
    assert found.mask.area == pytest.approx(math.pi * 30**2, rel=0.01)


def test_a_point_alone_is_a_finding_of_which_only_the_place_is_known() -> None:
    (found,) = from_regions([point(30, 40)], tags=ControlTags.read(labeling_config()))
    assert (found.is_point, found.box, found.mask) == (True, Box(30, 40, 31, 41), None)
    inside = from_regions([polygon(A), point(30, 40)], tags=TAGS)
    assert [each.id for each in inside] == ["p"], "it says nothing that the outline does not"


def test_two_outlines_that_touch_stay_two_findings() -> None:
    beside = Box(A.x1, A.y0, A.x1 + 20, A.y1)
    findings = from_regions([polygon(A, id="1"), polygon(beside, id="2")], tags=TAGS)
    assert [each.box for each in findings] == [A, beside]


def test_a_hand_drawn_rectangle_frames_the_outline_or_brush_that_it_meets() -> None:
    for drawn in (polygon(A), brush(filled(A.dilated(6)))):
        (found,) = from_regions([rectangle(A), drawn], tags=TAGS)
        assert (found.id, found.box) == ("r", A)
        assert found.mask is not None


def test_brush_without_a_rectangle_is_a_finding_with_its_own_box() -> None:
    findings = from_regions([rectangle(A), brush(filled(B))], tags=TAGS)
    assert [(each.id, each.box) for each in findings] == [("r", A), ("part-60-20", B)]


def test_a_brush_over_two_rectangles_and_the_gap_between_them_is_cut_at_the_middle_of_the_gap() -> None:
    left, right = Box(20, 20, 40, 40), Box(50, 20, 70, 40)
    result = [rectangle(left, id="l"), rectangle(right, id="r"), brush(filled(Box(20, 20, 70, 40)))]
    masks = {each.id: each.mask for each in from_regions(result, tags=TAGS)}
    assert {name: mask and mask.frame for name, mask in masks.items()} == {
        "l": Box(20, 20, 45, 40), "r": Box(45, 20, 70, 40),
    }  # fmt: skip


def test_a_far_away_tail_of_a_brush_is_not_the_rectangles() -> None:
    findings = from_regions([rectangle(A), brush(filled(Box(35, 30, 140, 34)))], tags=TAGS)
    assert [(each.id, each.box) for each in findings] == [("r", A), ("part-55-30", Box(55, 30, 140, 34))]


def test_a_speck_left_by_the_eraser_is_counted_and_no_finding() -> None:
    read = interpret([brush(filled(Box(100, 100, 101, 103)))], tags=TAGS)
    assert (read.findings, read.crumbs, read.crumb_pixels) == ((), 1, 3)


def test_dabs_of_one_size_are_a_finding_each() -> None:
    dabs = [Box(10 * i, 10 * i, 10 * i + 3, 10 * i + 3) for i in range(5)]
    assert len(from_regions([brush(filled(*dabs))], tags=TAGS)) == 5


@pytest.mark.parametrize("tags", [TAGS, BRUSH])
def test_crumbs_of_a_models_own_mask_belong_to_it_however_far_they_lie(tags: ControlTags) -> None:
    mask = filled(Box(500, 500, 600, 600), Box(900, 900, 928, 929), Box(1500, 2000, 1503, 2004))
    back = interpret(sent(finding(Box(490, 490, 610, 610), mask), tags=tags, size=BIG), tags=tags)
    assert [(each.id, each.box, each.score) for each in back.findings] == [
        ("c1", Box(490, 490, 610, 610), 0.8)
    ]
    assert back.crumbs == 0


def test_what_the_eraser_left_of_a_finding_is_no_finding_and_is_counted() -> None:
    (region,) = sent(finding(Box(500, 500, 600, 600), filled(Box(500, 500, 600, 600))), tags=BRUSH, size=BIG)
    left = interpret([repainted(region, filled(Box(500, 500, 531, 507)), size=BIG)], tags=BRUSH)
    assert (left.findings, left.deleted, left.crumbs, left.crumb_pixels) == ((), ("c1",), 1, 217)
    assert interpret([repainted(region, None, size=BIG)], tags=BRUSH).deleted == ("c1",)


def test_what_is_painted_elsewhere_with_a_findings_brush_is_a_finding_of_its_own() -> None:
    mine, other = Box(500, 500, 600, 600), Box(1500, 1500, 1600, 1600)
    (region,) = sent(finding(mine, filled(mine)), tags=BRUSH, size=BIG)
    findings = from_regions([repainted(region, filled(mine, other), size=BIG)], tags=BRUSH)
    assert [(each.id, each.box) for each in findings] == [("c1", mine), ("part-1500-1500", other)]


@pytest.mark.parametrize("tags", [TAGS, BRUSH])
def test_one_region_deleted_is_one_finding_gone_and_the_others_as_they_were(tags: ControlTags) -> None:
    three = [finding(box, filled(box), name=str(box.x0)) for box in (A, Box(45, 20, 58, 40), B)]
    regions = sent(*three, tags=tags)
    assert len(regions) == 3
    whole = {each.id: each for each in from_regions(regions, tags=tags)}
    for gone in range(3):
        left = from_regions([each for i, each in enumerate(regions) if i != gone], tags=tags)
        assert [each.id for each in left] == [each.id for i, each in enumerate(three) if i != gone]
        assert all(each.mask and each.mask.dice(whole[each.id].mask) == 1 for each in left)  # type: ignore[arg-type]


def test_a_changed_outline_has_its_own_box() -> None:
    (region,) = sent(finding(A.dilated(5), filled(A)))
    moved = region | {"value": polygon(B)["value"], "origin": "prediction-changed"}
    (found,) = from_regions([moved], tags=TAGS)
    assert found.box == B


def test_other_labels_attributes_relations_and_prompts_are_no_findings() -> None:
    tags = ControlTags.read(
        labeling_config()
        .replace('html="Box" background="#f2a33a"/>', "")
        .replace(
            '<Label value="Cluster" html="Box" background="#f2a33a" hotkey="3"/>',
            '<Label value="Cluster"/><Label value="Mass"/>',
        )
    )
    mass = rectangle() | {"value": rectangle()["value"] | {"rectanglelabels": ["Mass"]}}
    choice = {
        "id": "r",
        "from_name": "kind",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": ["a"]},
    }
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    asked = rectangle(from_name="prompt-box")
    assert from_regions([mass, choice, relation, asked], tags=tags) == []
    assert len(from_regions([rectangle()], tags=tags)) == 1


def test_the_label_of_a_plain_shape_is_that_of_its_labels_control() -> None:
    config = """<View><Image name="image" value="$image"/>
      <RectangleLabels name="box" toName="image"><Label value="Cluster"/></RectangleLabels>
      <Labels name="what" toName="image"><Label value="Cluster"/><Label value="Mass"/></Labels>
      <Polygon name="shape" toName="image"/></View>"""
    tags, drawn = ControlTags.read(config), polygon(A)
    shape = drawn | {
        "type": "polygon",
        "from_name": "shape",
        "value": {**drawn["value"], "polygonlabels": []},
    }

    def named(label: str) -> dict[str, Any]:
        return {
            "id": "p",
            "type": "labels",
            "from_name": "what",
            "to_name": "image",
            "value": {"labels": [label]},
        }

    assert [each.box for each in from_regions([shape, named("Cluster")], tags=tags)] == [A]
    assert from_regions([shape, named("Mass")], tags=tags) == []
    with pytest.raises(InvalidRegion, match="has no label"):
        from_regions([shape], tags=tags)


@pytest.mark.parametrize(
    ("drawn", "code"),
    [
        ("text", None),
        (rectangle(original_width=0), None),
        (rectangle(original_width="160"), None),
        (rectangle(original_width=10**6, original_height=10**6), None),
        (rectangle(image_rotation=90), None),
        (rectangle(Box(200, 20, 210, 30)), None),
        (rectangle() | {"value": rectangle()["value"] | {"width": 0}}, "no_area"),
        (rectangle() | {"value": rectangle()["value"] | {"x": float("nan")}}, None),
        (rectangle() | {"value": rectangle()["value"] | {"x": "1"}}, None),
        (rectangle() | {"value": rectangle()["value"] | {"rectanglelabels": []}}, "no_label"),
        (rectangle() | {"value": rectangle()["value"] | {"rectanglelabels": ["Mikrokalk"]}}, "unknown_label"),
        (rectangle(to_name="another"), "unknown_image"),
        (region("magicwandlabels", "wand", {"points": []}), "unknown_tool"),
        (brush(filled(A), original_width=161), None),
        (brush(filled(A)) | {"value": {"brushlabels": ["Cluster"]}}, None),
        (polygon() | {"value": {"points": [[1, 1], [2, 2]], "polygonlabels": ["Cluster"]}}, None),
        (polygon() | {"value": {"points": [[1, 1], [2, 2], 3], "polygonlabels": ["Cluster"]}}, None),
        (
            polygon() | {"value": {"points": [[1, 1], [1, 1], [1, 1]], "polygonlabels": ["Cluster"]}},
            "no_area",
        ),
        (vector(closed=False), "open_vector"),
        (bitmask(filled(A), size=Size(80, 60)), "bitmask"),
        (bitmask(filled(A)) | {"value": {"imageDataURL": "data:,", "bitmasklabels": ["Cluster"]}}, "bitmask"),
        (ellipse(80, 60, 0, 9), "no_area"),
    ],
)
def test_what_cannot_be_read_is_refused_and_never_nothing(drawn: Any, code: str | None) -> None:
    with pytest.raises(InvalidRegion) as error:
        from_regions([drawn], tags=TAGS)
    assert code in (None, error.value.code)


def test_regions_of_two_image_sizes_on_one_image_are_refused() -> None:
    with pytest.raises(InvalidRegion, match="different image sizes"):
        from_regions([rectangle(), rectangle(original_width=161, id="s")], tags=TAGS)


TWO = """<View><Image name="RCC" value="$rcc"/><Image name="RMLO" value="$rmlo"/><Image name="pages" valueList="$more"/>
  <PolygonLabels name="outline-RCC" toName="RCC"><Label value="Cluster"/></PolygonLabels>
  <PolygonLabels name="outline-RMLO" toName="RMLO"><Label value="Cluster"/></PolygonLabels>
  <PolygonLabels name="outline-pages" toName="pages"><Label value="Cluster"/></PolygonLabels></View>"""


def on(image: str, box: Box, **changes: Any) -> dict[str, Any]:
    return polygon(box, from_name=f"outline-{image}", to_name=image, id=f"{image}-{box.x0}", **changes)


def test_every_region_is_of_the_image_and_page_that_it_names() -> None:
    tags = ControlTags.read(TWO)
    data = {"rcc": "/data/a.png", "rmlo": "/data/b.png", "more": ["/data/c.png", "/data/d.png"]}
    result = [on("RCC", A), on("RMLO", B), on("pages", A, item_index=1), on("pages", B, item_index=1)]
    images = require_on_images(result, tags=tags, data=data)
    assert [each.image_key for each in images] == ["RCC", "RMLO", "pages[0]", "pages[1]"]
    assert [[each.box for each in from_regions(result, tags=tag)] for tag in images] == [[A], [B], [], [A, B]]


@pytest.mark.parametrize("stray", [on("LCC", A), on("pages", A, item_index=2), on("RMLO", A)])
def test_a_region_on_an_image_that_the_task_does_not_show_refuses_the_annotation(
    stray: dict[str, Any],
) -> None:
    data = {"rcc": "/data/a.png", "rmlo": "", "more": ["/data/c.png"]}
    with pytest.raises(InvalidRegion) as error:
        require_on_images([stray], tags=ControlTags.read(TWO), data=data)
    assert error.value.code == "unknown_image"


def test_a_label_that_may_mean_a_cluster_asks_for_a_word() -> None:
    config = """<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">
      <Label value="MC"/><Label value="Calcification"/></RectangleLabels></View>"""
    doubtful = rectangle() | {"value": rectangle()["value"] | {"rectanglelabels": ["Calcification"]}}
    with pytest.raises(InvalidRegion, match="predicted_values") as error:
        from_regions([doubtful], tags=ControlTags.read(config))
    assert error.value.code == "doubtful_label"
    stated = config.replace('value="MC"', 'value="MC" predicted_values="Cluster"')
    assert from_regions([doubtful], tags=ControlTags.read(stated)) == []


def test_a_label_is_known_by_its_alias_and_by_its_value() -> None:
    config = """<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">
      <Label value="Cluster" alias="mcc"/><Label value="Mass" alias="m"/></RectangleLabels></View>"""
    tags = ControlTags.read(config)
    (made,) = to_regions([finding(A)], size=SIZE, tags=tags, model_version="m1")
    assert made["value"]["rectanglelabels"] == ["mcc"]
    for label, count in (("mcc", 1), ("MCC", 1), ("cluster", 1), ("m", 0), ("Mass", 0)):
        drawn = rectangle() | {"value": rectangle()["value"] | {"rectanglelabels": [label]}}
        assert len(from_regions([drawn], tags=tags)) == count, label


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(way for key, inner in pairs for way in places(inner, (*path, key)))]


WHOLE = [
    *sent(finding(B, filled(B))), rectangle(A, id="h"), brush(filled(A)), vector(), bitmask(filled(A)), point(3, 4),
    ellipse(80, 60, 9, 5), *sent(finding(A, filled(A), name="c2"), tags=BRUSH),
]  # fmt: skip
WAYS = [way for way in places(json.loads(json.dumps(WHOLE))) if way and "rle" not in way[:-1]]


@settings(max_examples=400)
@given(st.sampled_from(WAYS), JSON)
def test_whatever_stands_in_a_region_is_read_or_refused(way: tuple[Any, ...], instead: Any) -> None:
    result = json.loads(json.dumps(WHOLE))
    target = result
    for key in way[:-1]:
        target = target[key]
    target[way[-1]] = instead
    for attempt in (
        lambda: interpret(result, tags=TAGS),
        lambda: require_on_images(result, tags=TAGS, data={"image": "/a.png"}),
    ):
        with suppress(InvalidRegion):
            attempt()
