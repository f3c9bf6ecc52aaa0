"""An exam is prelabelled as a whole: one prediction with one score and version, views that it lacks left out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mammo.annotations import AnnotationStore
from mammo.exam_views import EXAM_VIEWS
from mammo.findings import ImageFindings
from mammo.geometry import Size
from mammo.labelstudio import from_regions
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.prediction_check import validation_errors
from mammo.labelstudio.shown_version import VERSION_CONTROL
from mammo.prelabelling import TaskPrelabeller
from mammo.settings import Settings
from tests.backend.fakes import BOX, Backend
from tests.training.detections import square

CONFIG = exam_config()
TAGS = ControlTags.read(CONFIG)
IMAGES = {each.image: each for each in (TAGS, *TAGS.siblings)}
SCORES = {"RCC": 0.5, "LCC": 0.25, "RMLO": 0.9, "LMLO": 0.25}


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def task_data(*missing: str) -> dict[str, Any]:
    data: dict[str, Any] = {"patient": "p1", "exam": "2026-11-30"}
    for view in EXAM_VIEWS:
        here = view.name not in missing
        data |= {view.key: f"/{view.name}.png" if here else "", view.title_key: view.title}
        data |= {view.fact_key("sha256"): sha(view.name)} if here else {}
    return data


class ScoreOfTheView:
    """A model that finds one cluster on each view, with a score of its own, and cuts 3 on RMLO."""

    version = "m0001-aa"

    def prelabel(self, mammogram: Any, *, threshold: float | None) -> ImageFindings:
        findings = (square(5, 5, score=SCORES[mammogram.name], name="c1"),)
        return ImageFindings(findings=findings, num_cut=3 * (mammogram.name == "RMLO"))


def open_image(data: Mapping[str, Any]) -> Any:
    name = data["image"].strip("/").removesuffix(".png")
    return SimpleNamespace(size=Size(64, 48), sha256=sha(name), name=name)


@pytest.fixture
def exams(store: AnnotationStore) -> TaskPrelabeller:
    return TaskPrelabeller.of(
        ScoreOfTheView(), project=3, config=CONFIG, settings=Settings(), open_image=open_image, store=store
    )


def test_the_score_of_an_exam_is_that_of_its_most_likely_finding_and_its_certainty_of_the_least(
    exams: TaskPrelabeller,
) -> None:
    made = exams.predict(7, task_data())
    assert (made.prediction["score"], made.certainty) == (max(SCORES.values()), 0.25)
    assert made.prediction["model_version"] == "m0001-aa"
    found = {name: from_regions(made.prediction["result"], tags=tags) for name, tags in IMAGES.items()}
    assert {name: [each.score for each in findings] for name, findings in found.items()} == {
        name: [score] for name, score in SCORES.items()
    }
    regions = [each for each in made.prediction["result"] if each["type"] == "polygonlabels"]
    assert [each["id"] for each in regions] == ["RCC-c1", "LCC-c1", "RMLO-c1", "LMLO-c1"]
    assert made.images == {name: sha(name) for name in SCORES}
    assert validation_errors(made.prediction, config=CONFIG) == []


def test_what_is_not_shown_of_a_view_is_said_under_that_view(exams: TaskPrelabeller) -> None:
    (note,) = [
        each
        for each in exams.predict(7, task_data()).prediction["result"]
        if each["from_name"].startswith("model-note")
    ]
    assert (note["from_name"], note["to_name"]) == ("model-note-RMLO", "RMLO")
    assert "The model found 4 clusters on this image and shows the 1" in note["value"]["text"][0]


def test_a_view_that_the_exam_lacks_is_neither_opened_nor_predicted(exams: TaskPrelabeller) -> None:
    made = exams.predict(7, task_data("RCC", "LMLO"))
    (*regions, version) = made.prediction["result"]
    assert {each["to_name"] for each in regions} == {"LCC", "RMLO"}
    assert version["from_name"] == VERSION_CONTROL
    assert set(made.images) == {"LCC", "RMLO"}


@pytest.mark.parametrize("missing", [(), ("RCC",)])
def test_a_recorded_prediction_of_an_exam_comes_back(
    exams: TaskPrelabeller, missing: tuple[str, ...]
) -> None:
    data = task_data(*missing)
    exams.record(7, exams.predict(7, data), project=3, shown=True)
    recorded = exams.recorded(7, data, project=3)
    assert recorded is not None
    assert recorded.score == 0.25
    assert exams.recorded(7, data | {"lcc_sha256": sha("another")}, project=3) is None


def test_a_recorded_prediction_whose_regions_share_ids_is_made_again(
    exams: TaskPrelabeller, store: AnnotationStore
) -> None:
    """Label Studio gives regions of one id one shape, on whichever images they lie."""
    made = exams.predict(7, task_data())
    shared = [
        each | {"id": each["id"].removeprefix(f"{each['to_name']}-")} for each in made.prediction["result"]
    ]
    exams.record(7, replace(made, prediction=made.prediction | {"result": shared}), project=3, shown=True)
    assert exams.recorded(7, task_data(), project=3) is None


def test_predict_answers_an_exam_over_http() -> None:
    (result,) = Backend().predict({"id": 7, "data": task_data("LCC")}, label_config=CONFIG).json()["results"]
    assert (result["score"], result["model_version"]) == (0.8, "m1")
    (*regions, version) = result["result"]
    assert [each["to_name"] for each in regions] == ["RCC", "RMLO", "LMLO"]
    assert version["value"] == {"text": ["Outlined by model m1"]}
    for name in ("RCC", "RMLO", "LMLO"):
        assert [each.box for each in from_regions(result["result"], tags=IMAGES[name])] == [BOX]
    assert validation_errors(result, config=CONFIG) == []


def test_an_exam_with_a_view_that_cannot_be_read_has_no_prediction_and_says_so() -> None:
    data = task_data() | {"rmlo": "/broken.png"}
    (result,) = Backend().predict({"id": 7, "data": data}, label_config=CONFIG).json()["results"]
    (note,) = result["result"]
    assert note["from_name"] == "model-note-RCC"
    assert "could not look at these images" in note["value"]["text"][0]
