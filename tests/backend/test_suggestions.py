"""Clicks of a smart tool become suggestions: what counts as a prompt, and what is remembered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from label_studio_sdk.label_interface import LabelInterface

from mammo.geometry import Box, Point, Size, Spacing
from mammo.labelstudio import from_regions, labeling_config, rle
from mammo.labelstudio.labeling_config import ControlTags
from mammo.masks import Mask
from tests.backend.fakes import BOX, HEIGHT, WIDTH, Backend

TASK = {"id": 7, "data": {"image": "/x.png", "sha256": "a" * 64}}


def region(kind: str, value: dict[str, Any], *, label: str = "Cluster", **fields: Any) -> dict[str, Any]:
    return {
        "id": "k", "type": kind, "from_name": "prompt-point", "to_name": "image", "origin": "manual",
        "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0,
        "value": {**value, kind: [label], "labels": [label]}, **fields,
    }  # fmt: skip


def clicked(x: int, y: int, *, positive: bool, label: str = "Cluster") -> dict[str, Any]:
    value = {"x": 100 * (x + 0.5) / WIDTH, "y": 100 * (y + 0.5) / HEIGHT, "width": 0.2}
    return region("keypointlabels", value, label=label, is_positive=positive)


def prelabelled(x: int, y: int) -> dict[str, Any]:
    value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 0.2}
    return region("keypointlabels", value, origin="prediction", from_name="point", score=0.7)


def click(backend: Backend, *regions: Any, task: dict[str, Any] = TASK) -> dict[str, Any]:
    answer = backend.predict(
        task, params={"login": None, "password": None, "context": {"result": list(regions)}},
        label_config=labeling_config(),
    )  # fmt: skip
    assert answer.status_code == 200
    (result,) = answer.json()["results"]
    assert isinstance(result, dict)
    return result


def test_clicks_on_and_beside_the_lesion_become_one_suggested_outline() -> None:
    backend = Backend()
    result = click(
        backend,
        clicked(12, 30, positive=True),
        clicked(90, 80, positive=False),
        clicked(14, 31, positive=True),
    )
    assert backend.model.clicks[-1] == (None, (Point(12, 30), Point(14, 31)), (Point(90, 80),))
    assert [r["type"] for r in result["result"]] == ["polygonlabels"]
    assert LabelInterface(labeling_config()).validate_prediction(result, return_errors=True) == []
    (finding,) = from_regions(result["result"], tags=ControlTags())
    assert finding.box == BOX


def test_a_key_point_that_was_sent_once_for_each_chosen_label_is_one_click() -> None:
    backend = Backend()
    click(backend, clicked(12, 30, positive=True), clicked(12, 30, positive=True))
    assert backend.model.clicks[-1] == (None, (Point(12, 30),), ())


def test_key_points_that_the_model_itself_had_prelabelled_are_no_prompts() -> None:
    backend = Backend()
    click(backend, prelabelled(50, 50), clicked(12, 30, positive=True))
    assert backend.model.clicks[-1] == (None, (Point(12, 30),), ())


def test_of_many_rectangles_only_the_newest_is_the_prompt() -> None:
    backend = Backend()
    old = region(
        "rectanglelabels", {"x": 50, "y": 50, "width": 10, "height": 10, "rotation": 0}, from_name="box"
    )
    new = region("rectanglelabels", {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0})
    click(backend, old, new)
    assert backend.model.clicks[-1] == (Box(16, 12, 48, 36), (), ())


def test_the_same_prompt_gives_the_same_region_so_that_asking_again_leaves_no_second_one() -> None:
    backend = Backend()
    answers = [click(backend, clicked(12, 30, positive=True)) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert len(backend.model.clicks) == 2  # one of them warmed the model up


def test_more_clicks_refine_one_suggestion_and_a_click_elsewhere_begins_another() -> None:
    backend = Backend()
    first, second = clicked(12, 30, positive=True), clicked(14, 31, positive=True)
    far = clicked(150, 112, positive=True)
    ids = [
        click(backend, *clicks)["result"][0]["id"]
        for clicks in ([first], [first, second], [first, second, clicked(30, 40, positive=False)], [far])
    ]
    assert ids[0] == ids[1] == ids[2] != ids[3]


def test_a_further_click_starts_from_the_answer_to_the_clicks_before() -> None:
    backend = Backend()
    steps = [clicked(12, 30, positive=True), clicked(40, 31, positive=False), clicked(14, 31, positive=True)]
    before = len(backend.model.clicks)
    click(backend, *steps[:1])
    click(backend, *steps[:2])
    click(backend, *steps)
    assert [len(p) + len(n) for _, p, n in backend.model.clicks[before:]] == [1, 2, 3]
    assert [previous is None for previous in backend.model.previous[before:]] == [True, False, False]


def test_the_same_clicks_are_answered_alike_by_a_backend_that_forgot_the_ones_before() -> None:
    steps = [clicked(12, 30, positive=True), clicked(40, 31, positive=False)]
    one, other = Backend(), Backend()
    click(one, steps[0])
    assert click(one, *steps) == click(other, *steps)
    assert one.model.clicks == other.model.clicks


def test_a_brush_stroke_becomes_points_inside_it() -> None:
    backend = Backend()
    stroke = Mask(np.ones((5, 60), np.bool_), 20, 40)
    value = {"format": "rle", "rle": rle.encode(stroke, size=Size(WIDTH, HEIGHT))}
    painted = region("brushlabels", value, from_name="prompt-brush")
    click(backend, prelabelled(50, 50) | {"type": "brushlabels", "value": value}, painted)
    box, positive, negative = backend.model.clicks[-1]
    assert (box, negative) == (None, ())
    assert len(positive) == 5
    assert all(stroke.frame.contains(point) for point in positive)
    assert max(p.x for p in positive) - min(p.x for p in positive) > 40


def test_clicks_left_behind_on_another_lesion_do_not_count() -> None:
    backend = Backend()
    backend.images.spacing = Spacing(0.5, 0.5, "imager")  # 20 mm are 40 pixels
    click(backend, clicked(150, 110, positive=True), clicked(12, 30, positive=True))
    assert backend.model.clicks[-1] == (None, (Point(12, 30),), ())


@pytest.mark.parametrize(("row_mm", "column_mm", "kept"), [(0.5, 0.1, 1), (0.1, 0.5, 2), (0.1, 0.1, 3)])
def test_how_far_a_click_carries_is_measured_along_each_axis(
    row_mm: float, column_mm: float, kept: int
) -> None:
    backend = Backend()
    backend.images.spacing = Spacing(row_mm, column_mm, "imager")
    across, down = clicked(112, 30, positive=True), clicked(12, 90, positive=True)
    click(backend, across, down, clicked(12, 30, positive=True))
    expected = {1: [(112, 30), (12, 30)], 2: [(12, 90), (12, 30)], 3: [(112, 30), (12, 90), (12, 30)]}
    assert [(point.x, point.y) for point in backend.model.clicks[-1][1]] == expected[kept]


def test_a_hundred_regions_in_the_context_cost_no_more_decoding_than_one() -> None:
    backend = Backend()
    before = len(backend.model.clicks)
    click(backend, *[prelabelled(x, 20) for x in range(100)], clicked(12, 30, positive=True))
    assert backend.model.clicks[before:] == [(None, (Point(12, 30),), ())]


def test_a_suggestion_says_where_it_comes_from_and_how_sure_the_model_is() -> None:
    (made,) = click(Backend(), clicked(12, 30, positive=True))["result"]
    assert made["score"] == 0.75
    assert made["meta"] == {
        "model_version": "m1", "prompt": "points", "text": ["900 pixels", "the image states no pixel spacing"]
    }  # fmt: skip


def test_the_image_is_decoded_once_for_many_clicks() -> None:
    backend = Backend()
    for x in range(5):
        click(backend, clicked(x, 30, positive=True))
    assert backend.images.num_opened == 1


def test_where_the_model_sees_nothing_the_suggestion_is_empty() -> None:
    backend = Backend()
    backend.model.sees_something = False
    assert click(backend, clicked(12, 30, positive=True))["result"] == []


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ([], "invalid_region"),
        ([clicked(12, 30, positive=False)], "only_negative"),
        ([prelabelled(12, 30)], "invalid_region"),
        ([region("brushlabels", {})], "invalid_region"),
        ([region("keypointlabels", {"x": 5, "y": 5, "width": 1})], "invalid_region"),
        ([region("ellipselabels", {})], "invalid_region"),
        ([clicked(12, 30, positive=True) | {"original_width": WIDTH + 1}], "size_mismatch"),
        ([clicked(12, 30, positive=True) | {"image_rotation": 90}], "invalid_region"),
        ([clicked(12, 30, positive=True) | {"value": None}], "wrong_label"),
        ([clicked(12, 30, positive=True, label="Background")], "wrong_label"),
        ([{}], "invalid_region"),
    ],
    ids=[
        "none", "only negative", "prelabel", "brush", "plain point", "ellipse", "other size", "rotated",
        "no value", "label", "empty",
    ],
)  # fmt: skip
def test_a_click_that_makes_no_sense_gets_an_empty_suggestion_with_a_reason_and_the_model_is_not_asked(
    regions: list[Any], reason: str
) -> None:
    backend = Backend()
    num_clicks = len(backend.model.clicks)
    answer = click(backend, *regions)
    assert (answer["result"], answer["reason"]) == ([], reason)
    assert len(backend.model.clicks) == num_clicks


def test_a_click_on_a_task_without_an_image_says_so() -> None:
    answer = click(
        Backend(), clicked(12, 30, positive=True), task={"id": 7, "data": {"image": "/broken.png"}}
    )
    assert (answer["result"], answer["reason"]) == ([], "image_not_found")


TWO_VIEWS = """<View><Image name="CC" value="$cc"/><Image name="MLO" value="$mlo"/>
  <KeyPointLabels name="ask-CC" toName="CC" smart="true" smartOnly="true"><Label value="Cluster"/></KeyPointLabels>
  <KeyPointLabels name="ask-MLO" toName="MLO" smart="true" smartOnly="true"><Label value="Cluster"/></KeyPointLabels>
  <PolygonLabels name="line-CC" toName="CC"><Label value="Cluster"/></PolygonLabels>
  {second}</View>"""
SECOND = '<PolygonLabels name="line-MLO" toName="MLO"><Label value="Cluster"/></PolygonLabels>'


@pytest.mark.parametrize("outside_params", [False, True])
@pytest.mark.parametrize(("second", "targets"), [(SECOND, [("MLO", "line-MLO")]), ("", [])])
def test_a_click_is_answered_on_the_image_that_it_lies_on(
    second: str, targets: list[tuple[str, str]], outside_params: bool
) -> None:
    pointed = clicked(12, 30, positive=True) | {"to_name": "MLO", "from_name": "ask-MLO"}
    elsewhere = clicked(90, 80, positive=True) | {"to_name": "CC", "from_name": "ask-CC"}
    context = {"result": [elsewhere, pointed]}
    told: dict[str, Any] = {"context": context} if outside_params else {"params": {"context": context}}
    task = {"id": 7, "data": {"cc": "/a.png", "mlo": "/b.png"}}
    backend = Backend()
    answer = backend.predict(task, label_config=TWO_VIEWS.format(second=second), **told)
    (result,) = answer.json()["results"]
    assert [(region["to_name"], region["from_name"]) for region in result["result"]] == targets
    if targets:
        assert backend.model.clicks[-1] == (None, (Point(12, 30),), ()), (
            "the click on the other view counts not"
        )
