"""Findings become regions that Label Studio accepts, and come back the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER, Finding, ImageFindings
from mammo.geometry import Box, Point, Size
from mammo.labelstudio.interpretation import from_regions, interpret
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.prediction_check import validation_errors
from mammo.labelstudio.predictions import prediction
from mammo.labelstudio.rendering import note_regions, notes_of_images, to_regions
from mammo.masks import Mask

SIZE = Size(160, 120)
TAGS = ControlTags()
NOTED = ControlTags.read(labeling_config()).outlined()
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
@given(disjoint_findings(), st.sampled_from([TAGS.painted(), TAGS.outlined()]))
def test_findings_come_back_as_they_were_sent(case: tuple[Size, list[Finding]], tags: ControlTags) -> None:
    size, findings = case
    back = from_regions(to_regions(findings, size=size, tags=tags, model_version="m1"), tags=tags)
    assert [(f.id, f.box, f.score, f.prompts) for f in back] == [
        (f.id, f.box, f.score, f.prompts) for f in findings
    ]
    for before, after in zip(findings, back, strict=True):
        assert (after.mask is None) == (before.mask is None)
        if tags.brush and before.mask and after.mask:
            assert after.mask.frame == before.mask.frame
            assert np.array_equal(after.mask.bitmap, before.mask.bitmap)


@pytest.mark.parametrize(
    ("tags", "kind"), [(TAGS.outlined(), "polygonlabels"), (TAGS.painted(), "brushlabels")]
)
def test_each_finding_is_one_region_of_its_own(tags: ControlTags, kind: str) -> None:
    findings = [finding(A, filled(A), name="c1", prompts=(Point(12, 22),)), finding(B, filled(B), name="c2")]
    regions = to_regions(findings, size=SIZE, tags=tags, model_version="m1")
    assert [(r["id"], r["type"]) for r in regions] == [("c1", kind), ("c2", kind)]
    (left,) = from_regions(regions[1:], tags=tags)
    assert left.mask is not None
    assert (left.id, left.mask.area) == ("c2", B.area)


def test_label_studios_own_validation_accepts_our_prediction() -> None:
    predicted = prediction(
        [finding(A, filled(A), prompts=(Point(12, 22),))], size=SIZE, tags=TAGS, model_version="m1"
    )
    interface = LabelInterface(labeling_config())
    assert interface.validate_prediction(predicted, return_errors=True) == []
    broken = predicted | {"result": [predicted["result"][0] | {"from_name": "other"}]}
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
    regions = to_regions([finding(A, filled(A))], size=SIZE, tags=only_boxes, model_version="m1")
    assert [r["type"] for r in regions] == ["rectanglelabels"]


ONLY_BRUSH = ControlTags(rectangle=None, polygon=None, keypoint=None)
ONLY_OUTLINES = ControlTags(rectangle=None, brush=None, keypoint=None)


@pytest.mark.parametrize("tags", [ONLY_BRUSH, ONLY_OUTLINES])
def test_a_box_without_a_mask_is_drawn_with_what_there_is_and_comes_back_as_a_box(tags: ControlTags) -> None:
    regions = to_regions([finding(A, name="c1")], size=SIZE, tags=tags, model_version="m1")
    assert len(regions) == 1
    assert from_regions(regions, tags=tags) == [finding(A, name="c1")]


def test_a_point_needs_a_tool_for_points() -> None:
    point = replace(finding(Box(3, 4, 4, 5)), is_point=True)
    with pytest.raises(InvalidRegion, match="KeyPointLabels") as error:
        to_regions([point], size=SIZE, tags=ONLY_BRUSH, model_version="m1")
    assert error.value.code == "no_tool"


def found(count: int, *, num_cut: int) -> ImageFindings:
    findings = (
        Finding(label=CLUSTER, score=0.9, box=Box(10 * each, 10, 10 * each + 8, 18), id=f"c{each}")
        for each in range(count)
    )
    return ImageFindings(findings=tuple(findings), num_cut=num_cut)


def test_a_note_says_how_many_findings_are_not_shown() -> None:
    (note,) = notes_of_images([(NOTED, found(3, num_cut=2))], model_version="m1", news=())
    assert note["value"]["text"] == [
        "The model found 5 clusters on this image and shows the 3 with the highest scores: look for the other 2."
    ]
    assert note["meta"] == {"model_version": "m1", "num_cut": 2}


def test_a_prediction_with_a_note_is_valid_fits_its_project_and_means_its_findings_only() -> None:
    cut = found(3, num_cut=2)
    regions = to_regions(cut.findings, size=Size(100, 80), tags=NOTED, model_version="m1")
    result = regions + notes_of_images([(NOTED, cut)], model_version="m1", news=())
    prediction = {"result": result, "score": 0.9, "model_version": "m1"}
    assert validation_errors(prediction, config=labeling_config()) == []
    assert NOTED.fit(result)
    assert not replace(NOTED, note=None).fit(result)
    assert interpret(result, tags=NOTED).findings == interpret(regions, tags=NOTED).findings
    assert interpret(result, tags=NOTED).drawn == 3


def test_there_is_no_note_where_everything_is_shown_and_where_the_project_has_no_place_for_it() -> None:
    assert notes_of_images([(NOTED, found(3, num_cut=0))], model_version="m1", news=()) == []
    assert (
        notes_of_images([(replace(NOTED, note=None), found(3, num_cut=2))], model_version="m1", news=()) == []
    )


def test_news_are_in_the_note_of_every_image_below_what_is_cut_and_in_no_image_without_a_note() -> None:
    news = ("2026-12-01: a new model.", "2026-11-30: an audit.")
    images = [(NOTED, found(1, num_cut=1)), (replace(NOTED, image="other"), found(1, num_cut=0))]
    first, second = notes_of_images(images, model_version="m1", news=news)
    assert first["value"]["text"][1:] == list(news)
    assert "look for the other 1" in first["value"]["text"][0]
    assert second["value"]["text"] == list(news)
    pages = [(replace(NOTED, page=page), found(1, num_cut=0)) for page in (0, 1)]
    (note,) = notes_of_images(pages, model_version="m1", news=news)
    assert note["value"]["text"] == list(news)
    assert (
        notes_of_images([(replace(NOTED, note=None), found(1, num_cut=0))], model_version="m1", news=news)
        == []
    )


def test_the_pages_of_one_image_share_a_note_and_other_images_have_their_own() -> None:
    other = replace(NOTED, image="second")
    images = [(replace(NOTED, pages=True, page=page), found(2, num_cut=page)) for page in range(3)]
    pages, second = notes_of_images([*images, (other, found(2, num_cut=4))], model_version="m1", news=())
    assert [line.split(" and ")[0] for line in pages["value"]["text"]] == [
        "The model found 3 clusters on page 2",
        "The model found 4 clusters on page 3",
    ]
    assert (pages["to_name"], pages["meta"]["num_cut"]) == ("image", 3)
    assert (second["to_name"], second["meta"]["num_cut"]) == ("second", 4)
    assert pages["id"] != second["id"]


def test_a_failure_and_a_cut_are_different_notes_in_the_same_place() -> None:
    (failure,) = note_regions("image_not_found", tags=NOTED, model_version="m1")
    (cut,) = notes_of_images([(NOTED, found(1, num_cut=1))], model_version="m1", news=())
    assert failure["id"] == cut["id"]
    assert failure["value"]["text"] != cut["value"]["text"]
