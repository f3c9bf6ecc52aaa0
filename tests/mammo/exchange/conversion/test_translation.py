from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.errors import InvalidRegion
from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.conversion.translation import Translation
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.labelstudio import ControlTags, from_regions, labeling_config
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.region_meta import meta_value
from mammo.labelstudio.relations import same_lesion
from mammo.labelstudio.rendering import to_regions, truth_regions
from mammo.masks import Mask

SIZE = Size(64, 80)
RCC, LCC, _, LMLO = EXAM_VIEWS
TOOLS = {
    "BrushLabels": "mask",
    "RectangleLabels": "box",
    "PolygonLabels": "outline",
    "KeyPointLabels": "point",
}
MORE = """
  <Choices name="morphology" toName="image" perRegion="true"><Choice value="amorphous"/></Choices>
  <Choices name="density" toName="image"><Choice value="a"/><Choice value="b"/></Choices>
  <Choices name="found" toName="image"><Choice value="Cluster"/><Choice value="Nothing"/></Choices>
  <Choices name="quality" toName="image"><Choice value="good"/></Choices>
"""


def config(*tools: str, more: str = "") -> str:
    """A project of one-image tasks with some of the tools."""
    controls = "".join(
        f'<{tool} name="{TOOLS[tool]}" toName="image"><Label value="Cluster"/></{tool}>' for tool in tools
    )
    return f'<View><Image name="image" value="$image"/>{controls}{more}</View>'


def square(x: int, y: int, *, side: int = 8, masked: bool = True, hole: bool = False, **more: Any) -> Finding:
    bitmap = np.ones((side, side), np.bool_)
    if hole:
        bitmap[3:5, 3:5] = False
    mask = Mask(bitmap, x, y) if masked else None
    return Finding(
        label=CLUSTER,
        score=more.pop("score", 1.0),
        box=Box(x, y, x + side, y + side),
        mask=mask,
        id=f"f-{x}-{y}",
        **more,
    )


def translation(*tools: str, more: str = "", **options: Any) -> Translation:
    return Translation(config(*tools, more=more), exam_config(), **options)


def facts(findings: list[Finding]) -> list[Any]:
    pixels = [None if each.mask is None else each.mask.full(SIZE).tobytes() for each in findings]
    return [
        (each.box, each.score, each.descriptors, mask) for each, mask in zip(findings, pixels, strict=True)
    ]


def moved(translate: Translation, result: list[dict[str, Any]], view: Any = LCC) -> list[Any]:
    """What the findings of the new project are, and, as a check, that the old project has the same."""
    new = translate(result, view)
    assert {each["to_name"] for each in new if "to_name" in each} <= {view.name, "RCC"}
    found = facts(from_regions(new, tags=translate.views[view]))
    assert found == facts(from_regions(result, tags=translate.old))
    return found


FINDINGS = st.lists(
    st.builds(
        square,
        st.integers(0, 3).map(lambda n: n * 16),
        st.integers(0, 4).map(lambda n: n * 16),
        masked=st.booleans(),
        hole=st.booleans(),
        side=st.integers(7, 12),
    ),
    unique_by=lambda finding: finding.id,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(
    FINDINGS,
    st.sampled_from(
        [
            ("BrushLabels", "RectangleLabels"),
            ("PolygonLabels", "RectangleLabels"),
            ("RectangleLabels", "BrushLabels", "PolygonLabels"),
        ]
    ),
    st.sampled_from(EXAM_VIEWS),
)
def test_the_findings_of_any_annotation_are_the_same_in_every_view(
    findings: list[Finding], tools: tuple[str, ...], view: Any
) -> None:
    translate = translation(*tools)
    assert len(
        moved(translate, truth_regions(findings, size=SIZE, tags=translate.old, source="r"), view)
    ) == len(findings)


def test_a_region_with_a_control_of_its_kind_keeps_shape_and_meta() -> None:
    translate = translation("PolygonLabels")
    (region,) = to_regions([square(8, 8, score=0.7)], size=SIZE, tags=translate.old, model_version="m1")
    (new,) = translate([region | {"origin": "prediction"}], RCC)
    assert (new["id"], new["from_name"], new["to_name"]) == ("RCC-f-8-8", "outline-RCC", "RCC")
    assert new["value"]["points"] == region["value"]["points"]
    assert (new["score"], new["origin"], new["meta"]["finding"]) == (0.7, "prediction", "RCC-f-8-8")
    assert new["meta"]["pixels"] == region["meta"]["pixels"]


def test_a_painted_prelabel_is_drawn_exactly_and_keeps_its_model_and_score() -> None:
    translate = translation("BrushLabels")
    finding = square(8, 8, score=0.7, hole=True, prompts=(Point(9, 9),))
    (region,) = to_regions([finding], size=SIZE, tags=translate.old, model_version="m1")
    (new,) = translate([region], RCC)
    assert (new["type"], new["score"]) == ("polygonlabels", 0.7)
    assert meta_value(new, "model_version") == "m1"
    (back,) = from_regions([new], tags=translate.views[RCC])
    assert back.prompts == finding.prompts
    moved(translate, [region])


def test_what_a_person_painted_does_not_become_a_prelabel() -> None:
    translate = translation("BrushLabels")
    regions = truth_regions([square(8, 8)], size=SIZE, tags=translate.old, source="r")
    painted = [{key: value for key, value in regions[0].items() if key not in ("meta", "score")}]
    (new,) = translate(painted, RCC)
    assert "score" not in new
    assert set(new["meta"]) <= {"box", "pixels"}


def test_two_parts_of_one_stroke_are_two_outlines() -> None:
    translate = translation("BrushLabels")
    both = np.zeros((30, 30), np.bool_)
    both[:9, :9] = both[20:, 20:] = True
    finding = Finding(label=CLUSTER, score=1.0, box=Box(4, 4, 34, 34), mask=Mask(both, 4, 4), id="one")
    (region,) = truth_regions([finding], size=SIZE, tags=translate.old, source="r")
    del region["meta"]
    assert len(moved(translate, [region])) == 2


def test_a_point_is_refused_where_no_view_can_show_it() -> None:
    translate = translation("PolygonLabels", "KeyPointLabels")
    point = Finding(label=CLUSTER, score=1.0, box=Box(5, 5, 6, 6), id="p", is_point=True)
    regions = truth_regions([point], size=SIZE, tags=translate.old, source="r")
    with pytest.raises(InvalidRegion, match="KeyPointLabels"):
        translate(regions, RCC)


def test_a_prediction_is_not_drawn_again() -> None:
    translate = translation("BrushLabels")
    regions = to_regions([square(8, 8)], size=SIZE, tags=translate.old, model_version="m1")
    with pytest.raises(InvalidRegion):
        translate(regions, RCC, redraw=False)


def choice(control: str, word: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "from_name": control,
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [word]},
    } | more


@pytest.mark.parametrize("tool", ["PolygonLabels", "BrushLabels"])
def test_descriptors_go_with_their_finding_and_the_exams_to_the_exam(tool: str) -> None:
    translate = translation(tool, more=MORE)
    finding = square(8, 8, morphology="amorphous")
    result = truth_regions([finding], size=SIZE, tags=translate.old, source="r")
    result = [each for each in result if each["from_name"] != "found"]
    (found,) = moved(translate, [*result, choice("density", "b")])
    assert found[2] == {"morphology": "amorphous"}
    new = translate([*result, choice("density", "b")], LCC)
    (density,) = [each for each in new if each["from_name"] == "density"]
    assert (density["to_name"], density["value"]) == ("RCC", {"choices": ["b"]})
    (morphology,) = [each for each in new if each["from_name"] == "morphology-LCC"]
    shape = {key: value for key, value in morphology["value"].items() if key != "choices"}
    (region,) = [each for each in new if each["type"] == "polygonlabels"]
    assert shape == {key: region["value"][key] for key in shape}


def test_a_choice_that_only_repeats_the_findings_is_not_needed() -> None:
    translate = translation("PolygonLabels", more=MORE)
    assert translate([choice("found", "Nothing")], RCC) == []
    with pytest.raises(InvalidRegion, match="contradicts"):
        translate([choice("found", "Cluster")], RCC)


def test_what_the_new_config_has_no_place_for_is_refused_until_it_is_left_out() -> None:
    result = [choice("quality", "good")]
    with pytest.raises(InvalidRegion, match="--leave-out quality"):
        translation("PolygonLabels", more=MORE)(result, RCC)
    assert translation("PolygonLabels", more=MORE, leave_out=["quality"])(result, RCC) == []
    with pytest.raises(InvalidRegion, match="density"):  # the control is there, without this word
        translation("PolygonLabels", more=MORE.replace('"b"', '"z"'))([choice("density", "z")], RCC)


def test_remains_of_prompts_are_left_behind_and_relations_keep_their_ends() -> None:
    translate = Translation(labeling_config(), exam_config())
    outlines = to_regions([square(8, 8), square(30, 30)], size=SIZE, tags=ControlTags(), model_version="m")
    prompt = outlines[0] | {"id": "k", "from_name": "prompt-point", "type": "keypointlabels"}
    relation = same_lesion("f-8-8", "f-30-30")
    new = translate([*outlines, prompt, relation], LMLO)
    assert [each.get("id") for each in new] == ["LMLO-f-8-8", "LMLO-f-30-30", None]
    assert (new[-1]["from_id"], new[-1]["to_id"]) == ("LMLO-f-8-8", "LMLO-f-30-30")


@pytest.mark.parametrize(
    ("old", "new"), [(exam_config(), exam_config()), (labeling_config(), labeling_config())]
)
def test_only_a_project_of_images_becomes_one_of_exams(old: str, new: str) -> None:
    with pytest.raises(InvalidRegion) as caught:
        Translation(old, new)
    assert caught.value.code == "labeling_config"


def test_a_relation_does_not_come_to_mean_the_same_lesion() -> None:
    translate = Translation(labeling_config(), exam_config())
    outlines = to_regions([square(8, 8), square(30, 30)], size=SIZE, tags=ControlTags(), model_version="m")
    by_hand = {"type": "relation", "from_id": "f-8-8", "to_id": "f-30-30", "direction": "right"}
    with pytest.raises(InvalidRegion, match="--leave-out relation"):
        translate([*outlines, by_hand], LMLO)
    leaving = Translation(labeling_config(), exam_config(), leave_out=["relation"])
    assert len(leaving([*outlines, by_hand], LMLO)) == 2


def test_words_and_comments_move_with_their_finding_also_if_it_is_drawn_again() -> None:
    old = ControlTags.read(image_config())
    described = replace(square(8, 8), morphology="rim", suspicion="2", comment="seen before")
    outlined = truth_regions([described], size=SIZE, tags=old.outlined(), source="m")
    painted = truth_regions([described], size=SIZE, tags=old.painted(), source="m")
    translate = Translation(image_config(), exam_config())
    tags = translate.views[LMLO]
    for result in (outlined, painted):
        (moved,) = from_regions(translate(result, LMLO), tags=tags)
        assert (moved.descriptors, moved.comment) == (described.descriptors, described.comment)
