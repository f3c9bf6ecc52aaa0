"""Descriptors are those of the region and the exam; what Label Studio stores of other controls says nothing.

The payloads are those of Label Studio 1.23.2.
"""

from __future__ import annotations

from typing import Any

import pytest

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER, Finding
from mammo.labelstudio.descriptors import exam_descriptors, exam_regions
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.interpretation import from_regions, interpret_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.prediction_check import validation_errors
from mammo.labelstudio.rendering import truth_regions
from tests.mammo.labelstudio.drawn import SIZE, A, B, filled, polygon

TAGS = ControlTags.read(exam_config())
IMAGES = {each.image: each for each in (TAGS, *TAGS.siblings)}
DATA = {key: f"/data/{key}.png" for key in ("rcc", "lcc", "rmlo", "lmlo")}


def outline(view: str, name: str, box: Any = A) -> dict[str, Any]:
    return polygon(box, id=name, from_name=f"outline-{view}", to_name=view)


def about(region: dict[str, Any], control: str, word: str, **changes: Any) -> dict[str, Any]:
    """A choice about a region, as the browser stores it: with the region's shape."""
    value = {"points": region["value"]["points"], "closed": True, "choices": [word]}
    return region | {"from_name": control, "type": "choices", "value": value} | changes


def choice(control: str, *words: str, **changes: Any) -> dict[str, Any]:
    value = {"choices": list(words)}
    return {
        "id": control,
        "from_name": control,
        "to_name": "RCC",
        "type": "choices",
        "value": value,
    } | changes


def found(result: list[dict[str, Any]]) -> dict[str, list[Finding]]:
    """The findings of each view, through the way that every reader takes."""
    read = interpret_images(result, tags=TAGS, data=DATA, sizes={})
    return {tags.image: list(each.findings) for tags, each in read}


def summary(result: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """What can be compared of the findings."""
    return {
        view: [(each.id, each.box, each.mask and each.mask.area, each.descriptors) for each in findings]
        for view, findings in found(result).items()
    }


def test_a_finding_has_the_words_that_were_chosen_for_its_region() -> None:
    first, second = outline("LCC", "a"), outline("LCC", "b", B)
    result = [
        first,
        about(first, "morphology-LCC", "amorphous"),
        about(first, "distribution-LCC", "grouped"),
        second,
    ]
    one, other = found(result)["LCC"]
    assert (one.morphology, one.distribution) == ("amorphous", "grouped")
    assert (other.morphology, other.distribution) == (None, None)


def test_trap_1_a_prompt_that_keeps_the_id_of_the_accepted_outline_is_no_finding_and_changes_none() -> None:
    """With "Keep label selected", as an answer with the id `same-1` was stored."""
    region = outline("LCC", "same-1")
    kept = {key: value for key, value in region["value"].items() if key != "polygonlabels"}
    ghost = region | {
        "from_name": "ask-LCC",
        "type": "keypointlabels",
        "value": kept | {"keypointlabels": [CLUSTER]},
    }
    assert summary([region, ghost]) == summary([region])
    assert len(found([ghost, region])["LCC"]) == 1


@pytest.mark.parametrize("to_name", ["LCC", "RMLO"])
def test_trap_4_a_choice_of_another_views_control_says_nothing_about_the_region(to_name: str) -> None:
    region = outline("LCC", "x")
    foreign = about(region, "morphology-RMLO", "fine pleomorphic", to_name=to_name)
    own = about(region, "morphology-LCC", "amorphous")
    read = found([region, own, foreign])
    assert [each.morphology for each in read["LCC"]] == ["amorphous"]
    assert [len(each) for each in read.values()] == [0, 1, 0, 0]
    assert [each.morphology for each in found([region, foreign])["LCC"]] == [None]


def test_trap_9_the_toggles_of_the_page_say_nothing() -> None:
    region = outline("RCC", "x")
    toggles = [
        choice("hanging", "MLO"),
        choice("look", "inverted", "contrast"),
        choice("hanging", "all", id="h2"),
    ]
    assert summary([*toggles, region]) == summary([region])
    assert exam_descriptors(toggles, TAGS).stated == {}


def test_density_and_assessment_hold_for_the_exam_whichever_view_they_name() -> None:
    result = [choice("density", "c"), choice("assessment", "4A"), choice("hanging", "CC")]
    for tags in IMAGES.values():
        assert exam_descriptors(result, tags).stated == {"density": "c", "assessment": "4A"}
    assert exam_descriptors([], TAGS).stated == {}


@pytest.mark.parametrize(
    "words", [["spiculated"], ["amorphous", "fine pleomorphic"], [["amorphous"]], "amorphous"]
)
def test_a_word_that_is_not_understood_is_refused_and_not_left_out(words: Any) -> None:
    region = outline("LCC", "a")
    result = [region, about(region, "morphology-LCC", "amorphous", value={"choices": words})]
    with pytest.raises(InvalidRegion, match="expected one of skin") as error:
        from_regions(result, tags=IMAGES["LCC"])
    assert error.value.code == "unknown_descriptor"


def test_a_control_with_other_words_is_somebody_elses() -> None:
    config = exam_config().replace('<Choice value="amorphous"', '<Choice value="spiculated"')
    tags = ControlTags.read(config)
    assert (tags.morphology, tags.distribution) == (None, "distribution-RCC")
    region = outline("RCC", "a")
    assert [
        each.descriptors
        for each in from_regions([region, about(region, "morphology-RCC", "spiculated")], tags=tags)
    ] == [{}]


def test_descriptors_come_back_as_they_were_written_and_label_studio_takes_them() -> None:
    finding = Finding(
        label=CLUSTER,
        score=1.0,
        box=A,
        mask=filled(A),
        id="a",
        morphology="fine linear or branching",
        distribution="segmental",
        suspicion="4B",
        comment="seen before\nunchanged",
    )
    result = truth_regions([finding], size=SIZE, tags=IMAGES["LMLO"], source="reader")
    names = ("outline", "morphology", "distribution", "suspicion", "comment")
    assert [each["from_name"] for each in result] == [f"{name}-LMLO" for name in names]
    assert {each["id"] for each in result} == {"LMLO-a"}
    (back,) = found(result)["LMLO"]
    assert (back.descriptors, back.comment) == (finding.descriptors, finding.comment)
    prediction = {"result": result, "score": 1.0, "model_version": "reader"}
    assert validation_errors(prediction, config=exam_config()) == []


def test_a_descriptor_without_a_control_is_left_out() -> None:
    finding = Finding(label=CLUSTER, score=1.0, box=A, mask=filled(A), id="a", morphology="amorphous")
    tags = ControlTags.read(exam_config(descriptors=False))
    assert len(truth_regions([finding], size=SIZE, tags=tags, source="reader")) == 1


def test_a_key_ticks_the_word_in_the_controls_of_all_views_and_only_the_regions_own_counts() -> None:
    region = outline("LCC", "x")
    ticked = [
        about(region, f"morphology-{view}", "skin", to_name="LCC") for view in ("RCC", "LCC", "RMLO", "LMLO")
    ]
    read = found([region, *ticked])
    assert [[each.morphology for each in findings] for findings in read.values()] == [[], ["skin"], [], []]


def test_an_older_config_with_one_word_for_all_benign_kinds_is_read_as_before() -> None:
    config = """<View><Image name="image" value="$image"/>
      <PolygonLabels name="outline" toName="image"><Label value="Cluster"/></PolygonLabels>
      <Choices name="morphology" toName="image" perRegion="true"><Choice value="typically benign"/>
        <Choice value="amorphous"/></Choices></View>"""
    tags = ControlTags.read(config)
    region = polygon(A, id="a")
    (read,) = from_regions([region, about(region, "morphology", "typically benign")], tags=tags)
    assert (read.morphology, tags.suspicion, tags.comment) == ("typically benign", None, None)


def test_what_a_person_writes_is_kept_apart_and_never_shown_by_accident() -> None:
    region = outline("LCC", "a")
    written = region | {
        "from_name": "comment-LCC",
        "type": "textarea",
        "value": {"text": ["Mrs Doe", "again"]},
    }
    (read,) = found([region, written])["LCC"]
    assert read.comment == "Mrs Doe\nagain"
    assert "Doe" not in f"{read!r} {read.descriptors} {read.attributes}"
    (empty,) = found([region, written | {"value": {"text": []}}])["LCC"]
    assert empty.comment == ""
    with pytest.raises(InvalidRegion) as error:
        found([region, written | {"value": {"text": ["Mrs Doe", 7]}}])
    assert "Doe" not in str(error.value)


def test_words_about_the_exam_come_back_as_they_were_written() -> None:
    words = {"density": "b", "assessment": "4C"}
    result = exam_regions(words, TAGS)
    assert exam_descriptors(result, TAGS).stated == words
    prediction = {"result": result, "score": 1.0, "model_version": "reader"}
    assert validation_errors(prediction, config=exam_config()) == []
    assert exam_regions(words, ControlTags.read(exam_config(descriptors=False))) == []


def test_a_project_that_asks_for_nothing_reads_no_words_from_shapes() -> None:
    bare = ControlTags.read(exam_config(descriptors=False))
    region = outline("RCC", "x")
    region["value"]["choices"] = ["4A"]
    assert exam_descriptors([region], bare).stated == {}
    (one,) = from_regions([region], tags=bare)
    assert one.descriptors == {}
