"""/predict: N tasks, N predictions; kept prelabels are served; clicks become suggestions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from label_studio_sdk.label_interface import LabelInterface

from mammo.labelstudio import from_regions, labeling_config
from mammo.labelstudio.labeling_config import ControlTags
from tests.backend.fakes import BASIC, BOX, Backend

TASK = {"id": 7, "data": {"image": "/x.png", "sha256": "a" * 64}}


def test_every_task_gets_its_prediction_in_order_and_label_studio_accepts_it() -> None:
    backend = Backend()
    tasks = [{"id": n, "data": {"image": "/x.png", "sha256": f"{n:064d}"}} for n in range(5)]
    answer = backend.predict(*tasks, label_config=labeling_config(), params={"context": None})
    results = answer.json()["results"]
    assert sorted(backend.model.prelabelled[-5:]) == [f"{n:064d}" for n in range(5)]
    assert len(results) == 5
    interface = LabelInterface(labeling_config())
    for result in results:
        assert interface.validate_prediction(result, return_errors=True) == []
        assert [(f.box, f.score) for f in from_regions(result["result"], tags=ControlTags())] == [(BOX, 0.8)]


def test_a_request_that_is_under_way_when_the_champion_moves_is_answered_by_the_model_it_began_with() -> None:
    backend = Backend()
    before = backend.model

    def promoted_meanwhile() -> None:
        backend.registry.version = "m2"
        backend.host.look()

    before.seconds = promoted_meanwhile
    tasks = [{"id": n, "data": {"image": "/x.png", "sha256": f"{n:064d}"}} for n in range(3)]
    answer = backend.predict(*tasks).json()
    assert backend.host.current().version == "m2"
    assert {result["model_version"] for result in answer["results"]} == {"m1"}
    assert sorted(before.prelabelled[-3:]) == [task["data"]["sha256"] for task in tasks]
    (late,) = backend.predict({"id": 9, "data": {"image": "/x.png", "sha256": "9" * 64}}).json()["results"]
    assert late["model_version"] == "m2"


def test_a_project_with_a_threshold_of_its_own_is_prelabelled_at_it() -> None:
    for thresholds, expected in (({3: 0.35}, 0.35), ({4: 0.35}, None)):
        backend = Backend({"thresholds": thresholds})
        backend.predict(TASK, label_config=labeling_config())
        assert backend.model.thresholds[-1] == expected


def test_a_project_that_asks_for_the_brush_gets_it_and_no_kept_outline() -> None:
    backend = Backend({"brush_projects": "3"})
    types = []
    for project in ("4.1", "3.1"):
        (result,) = backend.predict(TASK, label_config=labeling_config(), project=project).json()["results"]
        types.append({r["type"] for r in result["result"]})
    assert types[0] - types[1] == {"polygonlabels"}
    assert types[1] - types[0] == {"brushlabels"}


def test_a_megabyte_of_what_others_said_of_a_task_changes_nothing() -> None:
    backend, heavy = Backend(), [{"id": 1, "result": [{"value": {"rle": [7] * 200_000}}]}]
    loaded = TASK | {"predictions": heavy, "annotations": heavy, "drafts": "no list", "meta": 5}
    assert backend.predict(loaded).json() == Backend().predict(TASK).json()


def test_a_prediction_that_the_sdk_finds_wrong_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend()
    monkeypatch.setattr("mammo.prelabelling.to_regions", lambda *_, **__: [{"from_name": "nobody"}])
    (result,) = backend.predict(TASK).json()["results"]
    assert (types(result), result["reason"]) == (["textarea"], "invalid_prediction")


def test_findings_that_are_not_shown_are_noted_in_the_prediction_and_counted_by_metrics() -> None:
    backend = Backend()
    backend.model.num_cut = 4
    first, again = (backend.predict(TASK).json()["results"][0] for _ in range(2))
    assert types(first)[-1] == "textarea"
    assert "found 5 clusters" in first["result"][-1]["value"]["text"][0]
    assert "reason" not in first
    assert again["result"] == first["result"]
    assert backend.counted("yolo_mlsam_findings_cut_total 4.0")
    (stored,) = backend.store.prelabels.values()
    assert stored.num_cut == 4


def test_no_tasks_are_no_predictions() -> None:
    assert Backend().predict().json() == {"results": []}


def types(result: dict[str, Any]) -> list[str]:
    return [region["type"] for region in result["result"]]


def test_a_project_without_a_place_for_notes_gets_an_empty_result_and_the_reason_beside_it() -> None:
    bare = labeling_config().replace('name="model-note"', 'name="comment"')
    (result,) = (
        Backend().predict({"id": 8, "data": {"image": "/broken.png"}}, label_config=bare).json()["results"]
    )
    assert result == {"result": [], "score": 0.0, "model_version": "m1", "reason": "image_not_found"}


def test_an_unreadable_image_gives_a_note_in_its_place_and_its_reason_to_log_and_metrics(
    capsys: pytest.CaptureFixture[str],
) -> None:
    backend = Backend()
    answer = backend.predict(
        TASK, {"id": 8, "data": {"image": "/broken.png"}}, {"id": 9, "data": {"image": "/bug.png"}}, TASK
    )
    results = answer.json()["results"]
    assert [types(r) == ["textarea"] for r in results] == [False, True, True, False]
    (note,) = results[1].pop("result")
    assert results[1] == {"score": 0.0, "model_version": "m1", "reason": "image_not_found"}
    assert "(image_not_found)" in note["value"]["text"][0]
    assert note["meta"] == {"model_version": "m1", "reason": "image_not_found"}
    assert results[2]["reason"] == "failed"
    for failed in ({**results[1], "result": [note]}, results[2]):
        assert from_regions(failed["result"], tags=ControlTags()) == []
        assert LabelInterface(labeling_config()).validate_prediction(failed, return_errors=True) == []
    log = capsys.readouterr().out
    assert "image_not_found" in log
    assert "RuntimeError" in log
    for secret in ("patient-name", "Doe^Jane"):
        assert secret not in log + answer.text
    assert backend.counted('yolo_mlsam_predictions_total{outcome="unreadable"} 1.0')
    assert backend.counted('yolo_mlsam_predictions_total{outcome="failed"} 1.0')
    assert backend.counted('yolo_mlsam_predictions_missing_total{reason="image_not_found"} 1.0')
    assert backend.counted('yolo_mlsam_predictions_missing_total{reason="failed"} 1.0')


def test_a_prediction_is_kept_and_served_again_without_the_model() -> None:
    backend = Backend()
    first = backend.predict(TASK).json()
    num_predicted = len(backend.model.prelabelled)
    assert backend.predict(TASK).json() == first
    assert len(backend.model.prelabelled) == num_predicted
    assert (3, 7, "m1") in backend.store.prelabels


def test_a_silent_prediction_is_written_down_as_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, written = Backend(), []
    key = 3, 7, "m1"
    backend.predict(TASK)
    silent = replace(backend.store.prelabels[key], shown_at=None)
    show = backend.store.show_prelabel
    monkeypatch.setattr(backend.store, "show_prelabel", lambda *which: written.append(which) or show(*which))
    backend.predict(TASK)
    assert written == [], "it was shown when it was made: nothing is written again"
    backend.store.prelabels[key] = silent
    backend.predict(TASK)
    backend.predict(TASK)
    assert written == [key]
    assert backend.store.prelabels[key].shown_at is not None


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"image": "/x.png", "sha256": "b" * 64}},
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
    renamed = labeling_config().replace('name="outline"', 'name="cluster-line"')
    (result,) = backend.predict(TASK, label_config=renamed).json()["results"]
    assert "cluster-line" in {r["from_name"] for r in result["result"]}


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
