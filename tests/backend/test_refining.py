"""A click in an outline or near it changes that outline: which one, how, and what comes back with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.label_interface import LabelInterface

from backend.refining import UNSAVED_SECONDS, Refining
from backend.schemas import PredictRequest
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size, Spacing
from mammo.labelstudio import labeling_config
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import mask_of
from mammo.labelstudio.rendering import to_regions
from mammo.masks import Mask
from tests.backend.fakes import HEIGHT, WIDTH, Backend
from tests.backend.test_suggestions import click, clicked

SIZE = Size(WIDTH, HEIGHT)
AT = Box(40, 40, 80, 70)
DETAILS = """
  <Choices name="morphology" toName="image" perRegion="true"><Choice value="amorphous"/></Choices>
  <Rating name="suspicion" toName="image" perRegion="true"/><Relations><Relation value="same lesion"/></Relations>"""
CONFIG = labeling_config().replace("<TextArea", f"{DETAILS}<TextArea", 1)


def drawn(name: str = "c7", box: Box = AT, *, tags: ControlTags | None = None) -> dict[str, Any]:
    """A prelabelled finding: a filled box."""
    finding = Finding(
        label=CLUSTER,
        score=0.6,
        box=box,
        mask=Mask(np.ones((box.height, box.width), np.bool_), box.x0, box.y0),
        id=name,
    )
    (region,) = to_regions([finding], size=SIZE, tags=tags or ControlTags().outlined(), model_version="m0")
    return region


def of_person(region: dict[str, Any]) -> dict[str, Any]:
    """The same as if drawn by hand: no score, no meta."""
    return {key: value for key, value in region.items() if key not in ("score", "meta")} | {
        "origin": "manual"
    }


def task(*, number: int = 7, **drawn_on_it: Any) -> dict[str, Any]:
    return {"id": number, "data": {"image": "/x.png", "sha256": "a" * 64}} | drawn_on_it


def draft(*result: Any, user: str = "a@example.com", at: str = "2026-01-01T10:00:00Z") -> dict[str, Any]:
    return {"id": 1, "user": user, "updated_at": at, "result": list(result)}


def pixels(answer: Mapping[str, Any]) -> Mask:
    mask = mask_of(answer["result"][0])
    assert mask is not None
    return mask


def ids(answer: Mapping[str, Any]) -> list[str]:
    return [region["id"] for region in answer["result"]]


HERE, THERE = Point(45, 45), Point(76, 66)


def test_a_negative_click_inside_takes_its_part_away_and_keeps_the_region() -> None:
    backend = Backend()
    backend.model.speck_points = [Point(50, 50)]
    shown = task(predictions=[{"result": [drawn()]}])
    answer = click(backend, clicked(THERE.x, THERE.y, positive=False), task=shown)
    assert ids(answer) == ["c7"]
    (region,) = answer["result"]
    assert (region["type"], region["from_name"], region["score"]) == ("polygonlabels", "outline", 0.6)
    assert pixels(answer).area < AT.area
    assert not pixels(answer).holds(THERE)
    assert pixels(answer).holds(Point(50, 50))
    assert LabelInterface(labeling_config()).validate_prediction(answer, return_errors=True) == []


def test_a_positive_click_beside_an_outline_adds_what_it_points_at() -> None:
    backend = Backend()
    backend.model.seen = [Box(80, 45, 95, 60)]
    beside = Point(90, 50)
    answer = click(backend, clicked(90, 50, positive=True), task=task(drafts=[draft(of_person(drawn()))]))
    assert ids(answer) == ["c7"]
    assert pixels(answer).holds(beside)
    assert pixels(answer).area > AT.area
    assert pixels(answer).intersection_area(Mask(np.ones((AT.height, AT.width), np.bool_), AT.x0, AT.y0)) >= (
        0.97 * AT.area
    )


def test_a_click_that_the_model_does_not_follow_is_followed_all_the_same() -> None:
    """It sees neither the missed speck nor the wrong part; the outline reaches the one and leaves the other."""
    backend = Backend()
    shown = task(predictions=[{"result": [drawn()]}])
    beside = click(backend, clicked(95, 55, positive=True), task=shown)
    assert pixels(beside).holds(Point(95, 55))
    assert len(pixels(beside).components()) == 1
    inside = click(
        backend, clicked(60, 55, positive=False), task=task(number=8, predictions=shown["predictions"])
    )
    assert not pixels(inside).holds(Point(60, 55))


def test_a_click_far_from_every_outline_asks_for_a_new_one() -> None:
    backend = Backend()
    backend.images.spacing = Spacing(0.1, 0.1, "imager")  # 5 mm are 50 pixels
    shown = task(predictions=[{"result": [drawn()]}])
    near = click(backend, clicked(128, 55, positive=True), task=shown)
    far = click(
        backend, clicked(135, 55, positive=True), task=task(number=8, predictions=shown["predictions"])
    )
    assert ids(near) == ["c7"]
    assert ids(far) != ["c7"]
    assert "prompt" in far["result"][0]["meta"]


@pytest.mark.parametrize("source", ["drafts", "annotations", "predictions"])
def test_attributes_come_back_with_the_outline_and_neither_those_of_other_regions_nor_relations_do(
    source: str,
) -> None:
    region, other = drawn(), drawn("c8", Box(100, 90, 130, 110))
    about = {"id": "c7", "to_name": "image", "original_width": WIDTH, "original_height": HEIGHT}
    chosen = about | {
        "from_name": "morphology", "type": "choices",
        "value": {**{k: region["value"][k] for k in ("points", "closed")}, "choices": ["amorphous"]},
    }  # fmt: skip
    rated = about | {"from_name": "suspicion", "type": "rating", "value": {"rating": 3}}
    left_over = about | {
        "from_name": "prompt-point",
        "type": "keypointlabels",
        "value": {"keypointlabels": ["Cluster"]},
    }
    elsewhere = chosen | {"id": "c8"}
    linked = {"type": "relation", "from_id": "c7", "to_id": "c8", "direction": "bi"}
    others = {"type": "relation", "from_id": "c8", "to_id": "c9", "direction": "bi"}
    result = [region, chosen, rated, left_over, other, elsewhere, linked, others]
    backend = Backend()
    answer = backend.predict(
        task(**{source: [{"result": result}]}),
        params={"context": {"result": [clicked(THERE.x, THERE.y, positive=False)]}},
        label_config=CONFIG,
    ).json()["results"][0]
    assert [(each.get("id"), each.get("from_name")) for each in answer["result"]] == [
        ("c7", "outline"), ("c7", "morphology"), ("c7", "suspicion"),
    ]  # fmt: skip
    outline, morphology, suspicion = answer["result"]
    assert morphology["value"]["choices"] == ["amorphous"]
    assert suspicion["value"]["rating"] == 3
    assert morphology["value"]["points"] == outline["value"]["points"] != region["value"]["points"]
    assert LabelInterface(CONFIG).validate_prediction(answer, return_errors=True) == []


def test_a_finding_that_is_painted_is_repainted() -> None:
    backend = Backend(changes={"brush_projects": "3"})
    painted = drawn(tags=ControlTags(polygon=None, rectangle=None))
    answer = click(
        backend, clicked(THERE.x, THERE.y, positive=False), task=task(predictions=[{"result": [painted]}])
    )
    assert [(each["id"], each["type"]) for each in answer["result"]] == [("c7", "brushlabels")]
    assert not pixels(answer).holds(THERE)
    assert 0 < pixels(answer).area < AT.area


def test_successive_clicks_add_up_whether_they_wait_were_saved_or_not_yet() -> None:
    backend, shown = Backend(), task(predictions=[{"result": [drawn()]}])
    one, two, three = (clicked(*at, positive=False) for at in ((42, 42), (77, 42), (42, 67)))
    first = click(backend, one, task=shown)
    waiting = click(backend, one, two, task=shown)  # the first one waits for the tick
    assert waiting["result"][0]["id"] == "c7"
    unsaved = click(backend, three, task=shown)  # both were accepted, and nothing is saved yet
    for answer, gone in ((first, 1), (waiting, 2), (unsaved, 3)):
        held = [pixels(answer).holds(point) for point in (Point(42, 42), Point(77, 42), Point(42, 67))]
        assert held == [False] * gone + [True] * (3 - gone)
    saved = task(drafts=[draft(of_person(unsaved["result"][0]))])
    back = click(backend, clicked(40, 40, positive=True), task=saved)
    assert pixels(back).holds(Point(40, 40))
    assert not pixels(back).holds(Point(77, 42)), "earlier clicks still hold"


def test_an_accepted_suggestion_is_refined_before_label_studio_has_saved_it() -> None:
    backend = Backend()
    made = click(backend, clicked(12, 30, positive=True), task=task())
    answer = click(backend, clicked(38, 48, positive=False), task=task())
    assert ids(answer) == ids(made)
    assert not pixels(answer).holds(Point(38, 48))


def test_what_was_undone_is_forgotten() -> None:
    now = [100.0]
    backend = Backend()
    backend.client.app.state.suggestions._refining = Refining(clock=lambda: now[0])  # type: ignore[attr-defined]
    shown = task(predictions=[{"result": [drawn()]}])
    click(backend, clicked(42, 42, positive=False), task=shown)
    now[0] += UNSAVED_SECONDS + 1
    answer = click(backend, clicked(77, 67, positive=False), task=shown)
    assert pixels(answer).holds(Point(42, 42))


def test_a_finding_that_is_deleted_comes_back_with_a_click_beside_it_until_that_is_saved() -> None:
    """Only the draft tells what is on the screen; Label Studio saves it some seconds after a deletion."""
    backend = Backend()
    unsaved = task(drafts=[draft(of_person(drawn()))])
    assert ids(click(backend, clicked(90, 50, positive=True), task=unsaved)) == ["c7"]
    saved = task(number=8, drafts=[draft()], predictions=[{"result": [drawn()]}])
    assert ids(click(backend, clicked(90, 50, positive=True), task=saved)) != ["c7"]


def test_clicks_of_another_task_or_image_are_not_remembered_for_this_one() -> None:
    backend = Backend()
    click(backend, clicked(42, 42, positive=False), task=task(predictions=[{"result": [drawn()]}]))
    other = task(number=8, predictions=[{"result": [drawn()]}])
    assert pixels(click(backend, clicked(77, 67, positive=False), task=other)).holds(Point(42, 42))


def test_a_click_that_changes_nothing_says_why_and_leaves_the_outline_as_it_was() -> None:
    backend = Backend()
    region = drawn()
    shown = task(predictions=[{"result": [region]}])
    outside = click(backend, clicked(90, 50, positive=False), task=shown)
    (same,) = outside["result"]
    assert (same["id"], same["value"]) == ("c7", region["value"])
    assert "outside the outline already" in " ".join(same["meta"]["text"])
    more = click(
        backend, clicked(50, 50, positive=True), task=task(number=8, predictions=shown["predictions"])
    )
    assert "nothing more to add" in " ".join(more["result"][0]["meta"]["text"])
    tiny = task(number=9, predictions=[{"result": [drawn(box=Box(50, 50, 55, 55))]}])
    gone = click(backend, clicked(52, 52, positive=False), task=tiny)
    assert "Backspace" in " ".join(gone["result"][0]["meta"]["text"])


def test_the_newest_draft_is_what_is_on_the_screen() -> None:
    old, new = drawn(), drawn(box=Box(40, 40, 60, 60))
    shown = task(
        drafts=[draft(of_person(old)), draft(of_person(new), at="2026-01-01T11:00:00Z")],
        annotations=[{"completed_by": 1, "updated_at": "2026-01-02T00:00:00Z", "result": [old]}],
        predictions=[{"result": [old]}],
    )
    assert pixels(click(Backend(), clicked(42, 42, positive=False), task=shown)).frame.x1 <= 61


def test_where_two_people_differ_a_click_makes_a_new_outline_and_says_so() -> None:
    shown = task(
        drafts=[
            draft(of_person(drawn())),
            draft(of_person(drawn(box=Box(40, 40, 60, 60))), user="b@example.com"),
        ]
    )
    answer = click(Backend(), clicked(45, 45, positive=True), task=shown)
    assert ids(answer) != ["c7"]
    assert "several people" in " ".join(answer["result"][0]["meta"]["text"])
    agreed = task(drafts=[draft(of_person(drawn())), draft(of_person(drawn()), user="b@example.com")])
    assert ids(click(Backend(), clicked(45, 45, positive=True), task=agreed)) == ["c7"]


ELLIPSE = {"x": 37, "y": 45, "radiusX": 10, "radiusY": 10, "ellipselabels": ["Cluster"]}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"value": {"points": [[25, 33], [50, 33], [50, 58]], "polygonlabels": ["Cyst"]}}, "labelled"),
        ({"type": "ellipselabels", "value": ELLIPSE}, "ellipse"),
        ({"value": {"points": "?"}}, "cannot be read"),
        ({"original_width": WIDTH * 2}, "another size"),
    ],
)  # fmt: skip
def test_what_a_click_cannot_correct_it_leaves_alone_and_says_so(change: dict[str, Any], word: str) -> None:
    shown = task(drafts=[draft(drawn() | change)])
    answer = click(Backend(), clicked(62, 52, positive=True), task=shown)
    assert ids(answer) != ["c7"]
    assert word in " ".join(answer["result"][0]["meta"]["text"])


@pytest.mark.parametrize(
    "junk", [None, 5, "x", {}, [None], [{"result": 3}], [{"result": [None, 3, {"id": []}]}]]
)
@pytest.mark.parametrize("source", ["drafts", "annotations", "predictions"])
def test_drawings_that_are_none_do_not_fail_a_click(source: str, junk: Any) -> None:
    answer = click(Backend(), clicked(12, 30, positive=True), task=task(**{source: junk}))
    assert len(answer["result"]) == 1


def test_a_request_for_prelabels_keeps_no_drawings() -> None:
    body = b'{"tasks": [{"data": {}, "drafts": [1], "annotations": [2], "predictions": [3]}]}'
    (kept,) = PredictRequest.read(body).tasks
    assert (kept.drafts, kept.annotations, kept.predictions) == (None, None, None)
