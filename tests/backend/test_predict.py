"""/predict: N tasks, N predictions; kept prelabels are served; clicks become suggestions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from label_studio_sdk.label_interface import LabelInterface

from mammo.geometry import Box, Point
from mammo.labelstudio import from_regions, labeling_config
from tests.backend.fakes import BASIC, BOX, HEIGHT, WIDTH, Backend

TASK = {"id": 7, "data": {"image": "/x.png", "sha256": "a" * 64}}


def region(kind: str, value: dict[str, float], **fields: Any) -> dict[str, Any]:
    return {
        "id": "k", "type": kind, "from_name": "prompt-point", "to_name": "image", "origin": "manual",
        "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0,
        "value": {**value, kind: ["Cluster"], "labels": ["Cluster"]}, **fields,
    }  # fmt: skip


def clicked(x: int, y: int, *, positive: bool) -> dict[str, Any]:
    value = {"x": 100 * (x + 0.5) / WIDTH, "y": 100 * (y + 0.5) / HEIGHT, "width": 0.2}
    return region("keypointlabels", value, is_positive=positive)


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


def test_every_task_gets_its_prediction_in_order_and_label_studio_accepts_it() -> None:
    backend = Backend()
    tasks = [{"id": n, "data": {"sha256": f"{n:064d}"}} for n in range(5)]
    answer = backend.predict(*tasks, label_config=labeling_config(), params={"context": None})
    results = answer.json()["results"]
    assert backend.model.prelabelled[-5:] == [f"{n:064d}" for n in range(5)]
    assert len(results) == 5
    interface = LabelInterface(labeling_config())
    for result in results:
        assert interface.validate_prediction(result, return_errors=True) == []
        assert [(f.box, f.score) for f in from_regions(result["result"])] == [(BOX, 0.8)]


def test_a_project_with_a_threshold_of_its_own_is_prelabelled_at_it() -> None:
    for thresholds, expected in (({3: 0.35}, 0.35), ({4: 0.35}, None)):
        backend = Backend({"thresholds": thresholds})
        backend.predict(TASK, label_config=labeling_config())
        assert backend.model.thresholds[-1] == expected


def test_no_tasks_are_no_predictions() -> None:
    assert Backend().predict().json() == {"results": []}


def test_an_unreadable_image_gives_an_empty_result_in_its_place_and_the_reason_only_to_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    backend = Backend()
    answer = backend.predict(
        TASK, {"id": 8, "data": {"broken": True}}, {"id": 9, "data": {"bug": True}}, TASK
    )
    results = answer.json()["results"]
    assert [len(r["result"]) > 0 for r in results] == [True, False, False, True]
    assert results[1] == {"result": [], "score": 0.0, "model_version": "m1"}
    log = capsys.readouterr().out
    assert "image_not_found" in log
    assert "RuntimeError" in log
    for secret in ("patient-name", "Doe^Jane"):
        assert secret not in log + answer.text
    assert backend.counted('yolo_mlsam_predictions_total{outcome="unreadable"} 1.0')
    assert backend.counted('yolo_mlsam_predictions_total{outcome="failed"} 1.0')


def test_a_prediction_is_kept_and_served_again_without_the_model() -> None:
    backend = Backend()
    first = backend.predict(TASK).json()
    num_predicted = len(backend.model.prelabelled)
    assert backend.predict(TASK).json() == first
    assert len(backend.model.prelabelled) == num_predicted
    assert (3, 7, "m1") in backend.store.prelabels


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"sha256": "b" * 64}},
        {"id": 8},
    ],
)
def test_a_kept_prediction_of_another_image_or_task_is_not_served(change: dict[str, Any]) -> None:
    backend = Backend()
    backend.predict(TASK)
    num_predicted = len(backend.model.prelabelled)
    backend.predict(TASK | change)
    assert len(backend.model.prelabelled) == num_predicted + 1


def test_a_kept_prediction_is_not_served_to_a_project_that_renamed_its_controls() -> None:
    backend = Backend()
    backend.predict(TASK)
    renamed = labeling_config().replace('name="box"', 'name="cluster-box"')
    (result,) = backend.predict(TASK, label_config=renamed).json()["results"]
    assert "cluster-box" in {r["from_name"] for r in result["result"]}


def test_a_kept_prediction_of_another_model_version_is_not_served() -> None:
    backend = Backend()
    backend.predict(TASK)
    backend.registry.version = "m2"
    backend.host.look()
    (result,) = backend.predict(TASK).json()["results"]
    assert result["model_version"] == "m2"
    assert "m2" in json.dumps(result["result"])


def test_a_store_that_is_down_costs_no_prediction() -> None:
    backend = Backend()
    backend.store.down = True
    (result,) = backend.predict(TASK).json()["results"]
    assert len(result["result"]) > 0


def test_clicks_on_and_beside_the_lesion_become_one_brush_suggestion() -> None:
    backend = Backend()
    result = click(
        backend,
        clicked(12, 30, positive=True),
        clicked(90, 80, positive=False),
        clicked(14, 31, positive=True),
    )
    assert backend.model.clicks[-1] == (None, (Point(12, 30), Point(14, 31)), (Point(90, 80),))
    assert [r["type"] for r in result["result"]] == ["brushlabels"]
    assert LabelInterface(labeling_config()).validate_prediction(result, return_errors=True) == []
    (finding,) = from_regions(result["result"])
    assert finding.box == BOX


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


def test_two_suggestions_have_different_ids_so_that_the_second_does_not_replace_the_first() -> None:
    backend = Backend()
    ids = {click(backend, clicked(12, 30, positive=True))["result"][0]["id"] for _ in range(3)}
    assert len(ids) == 3


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
    "regions",
    [
        [],
        [clicked(12, 30, positive=False)],
        [region("brushlabels", {})],
        [clicked(12, 30, positive=True) | {"original_width": WIDTH + 1}],
        [clicked(12, 30, positive=True) | {"value": None}],
        [{}],
    ],
    ids=["none", "only negative", "brush", "other size", "no value", "empty"],
)
def test_a_click_that_makes_no_sense_gets_an_empty_suggestion_and_the_model_is_not_asked(
    regions: list[Any],
) -> None:
    backend = Backend()
    num_clicks = len(backend.model.clicks)
    assert click(backend, *regions)["result"] == []
    assert len(backend.model.clicks) == num_clicks


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b"{}", 422),
        (b'{"tasks": {}}', 422),
        (b'{"tasks": [{"id": 1}]}', 422),
        (b'{"tasks": [], "label_config": "<View/>"}', 422),
        (b'{"tasks": [], "params": {"context": {"result": []}}}', 422),
        (b"\xff\xfe", 400),
    ],
)
def test_what_is_no_predict_request_is_refused_with_a_code_and_a_sentence(body: bytes, status: int) -> None:
    answer = Backend().client.post("/predict", content=body, headers=BASIC)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message"}


def test_a_body_over_the_limit_is_refused_whether_it_says_its_length_or_not() -> None:
    backend = Backend(changes={"max_body_bytes": 2**16})
    large = b'{"tasks": [' + b" " * 2**16 + b"]}"
    stated = backend.client.post("/predict", content=large, headers=BASIC)
    chunked = backend.client.post("/predict", content=iter([large[:9000], large[9000:]]), headers=BASIC)
    assert (stated.status_code, chunked.status_code) == (413, 413)
