"""A task becomes one prediction, image by image, and its stored record comes back only where it still fits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from mammo.annotations import AnnotationStore
from mammo.errors import ImageNotFound
from mammo.exam_views import EXAM_VIEWS
from mammo.findings import ImageFindings
from mammo.geometry import Size
from mammo.labelstudio import ControlTags, from_regions, labeling_config
from mammo.labelstudio.exam_config import exam_config
from mammo.prelabelling import TaskPrelabeller
from mammo.settings import Settings
from tests.training.detections import square

TWO_IMAGES = """<View>
  <Image name="left" value="$left"/><Image name="right" value="$right"/>
  <RectangleLabels name="left-box" toName="left"><Label value="Cluster"/></RectangleLabels>
  <RectangleLabels name="right-box" toName="right"><Label value="Cluster"/></RectangleLabels>
</View>"""


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def open_image(data: Mapping[str, Any]) -> Any:
    if "missing" in data["image"]:
        raise ImageNotFound("the task names an image that is not there")
    return SimpleNamespace(size=Size(64, 48), sha256=sha(data["image"]), name=data["image"])


class OneSquare:
    """A model that finds one cluster with score 0.75: on the left image at the left, on the right one at the right."""

    version = "m0001-aa"

    def __init__(self, *, num_cut: int = 0) -> None:
        self.num_cut = num_cut

    def prelabel(self, mammogram: Any, *, threshold: float | None) -> ImageFindings:
        x = 40 if "right" in mammogram.name else 5
        findings = (square(x, 5, score=0.75, name="c1"),) if (threshold or 0) <= 0.75 else ()
        return ImageFindings(findings=findings, num_cut=self.num_cut)


Make = Callable[..., TaskPrelabeller]


def types(regions: list[dict[str, Any]]) -> list[str]:
    return [region["type"] for region in regions]


@pytest.fixture
def tasks(store: AnnotationStore) -> Make:
    def make(config: str = labeling_config(), *, num_cut: int = 0, **settings: Any) -> TaskPrelabeller:
        return TaskPrelabeller.of(
            OneSquare(num_cut=num_cut),
            project=3,
            config=config,
            settings=Settings(**settings),
            open_image=open_image,
            store=store,
        )

    return make


def test_every_image_of_a_task_is_predicted_and_named_by_its_hash(tasks: Make) -> None:
    made = tasks(TWO_IMAGES).predict(7, {"left": "left.png", "right": "right.png"})
    prediction = made.prediction
    left, right = ControlTags.read(TWO_IMAGES).on({"left": "left.png", "right": "right.png"})
    for tags, x in ((left, 5), (right, 40)):
        (finding,) = from_regions(prediction["result"], tags=tags)
        assert finding.box.x0 == x
    assert made.images == {"left": sha("left.png"), "right": sha("right.png")}
    assert (prediction["score"], prediction["model_version"]) == (0.75, "m0001-aa")


def test_a_task_with_an_image_that_cannot_be_read_has_no_prediction(tasks: Make) -> None:
    with pytest.raises(ImageNotFound):
        tasks(TWO_IMAGES).predict(7, {"left": "left.png", "right": "missing.png"})


def test_a_projects_settings_decide_the_threshold_and_the_form_of_masks(tasks: Make) -> None:
    def kinds(**settings: Any) -> list[str]:
        return types(tasks(**settings).predict(7, {"image": "a.png"}).prediction["result"])

    assert kinds() == ["polygonlabels"]
    assert kinds(brush_projects="3") == ["brushlabels"]
    assert kinds(thresholds={3: 0.8}) == []
    assert kinds(thresholds={4: 0.8}, brush_projects="4") == ["polygonlabels"]


def test_a_recorded_prediction_comes_back_for_the_same_image_and_controls_only(tasks: Make) -> None:
    data = {"image": "a.png", "sha256": sha("a.png")}
    made = tasks().predict(7, data)
    assert tasks().recorded(7, data, project=3) is None
    tasks().record(7, made, project=3, shown=True)
    recorded = tasks().recorded(7, data, project=3)
    assert recorded is not None
    assert (recorded.regions, recorded.score) == (made.prediction["result"], 0.75)
    renamed = labeling_config().replace('name="outline"', 'name="line"')
    assert tasks().recorded(7, data | {"sha256": sha("b.png")}, project=3) is None
    assert tasks(renamed).recorded(7, data, project=3) is None
    assert tasks(brush_projects="3").recorded(7, data, project=3) is None
    assert tasks().recorded(8, data, project=3) is None


def test_an_exam_states_its_model_version_and_comes_back_whichever_view_it_lacks(tasks: Make) -> None:
    data = {view.key: "" for view in EXAM_VIEWS} | {"lmlo": "lmlo.png", "lmlo_sha256": sha("lmlo.png")}
    made = tasks(exam_config()).predict(7, data)
    assert types(made.prediction["result"]) == ["polygonlabels", "textarea"]
    assert made.prediction["result"][-1]["value"] == {"text": ["Outlined by model m0001-aa"]}
    tasks(exam_config()).record(7, made, project=3, shown=True)
    recorded = tasks(exam_config()).recorded(7, data, project=3)
    assert recorded is not None
    assert recorded.regions == made.prediction["result"]


def test_findings_that_are_not_shown_are_noted_counted_and_logged_without_patient_data(tasks: Make) -> None:
    with structlog.testing.capture_logs() as lines:
        made = tasks(num_cut=11).predict(7, {"image": "a.png", "patient": "P-4711"})
    assert types(made.prediction["result"]) == ["polygonlabels", "textarea"]
    assert "The model found 12 clusters" in made.prediction["result"][-1]["value"]["text"][0]
    assert (made.num_cut, made.prediction["score"]) == (11, 0.75)
    counts = {"task": 7, "shown": 1, "cut": 11}
    event = {"event": "a prelabel does not show all findings", "log_level": "warning"}
    assert lines == [event | counts]


def test_a_prediction_that_shows_everything_says_nothing(tasks: Make) -> None:
    with structlog.testing.capture_logs() as lines:
        made = tasks().predict(7, {"image": "a.png"})
    assert types(made.prediction["result"]) == ["polygonlabels"]
    assert (made.num_cut, lines) == (0, [])


def test_the_findings_of_all_images_that_are_not_shown_are_counted_where_there_is_no_place_for_a_note(
    tasks: Make,
) -> None:
    made = tasks(TWO_IMAGES, num_cut=11).predict(7, {"left": "left.png", "right": "right.png"})
    assert types(made.prediction["result"]) == ["rectanglelabels", "rectanglelabels"]
    assert made.num_cut == 22


def test_a_record_counts_what_is_not_shown_and_comes_back_with_its_note(tasks: Make) -> None:
    data = {"image": "a.png", "sha256": sha("a.png")}
    for num_cut in (0, 11):  # the second replaces the first
        made = tasks(num_cut=num_cut).predict(7, data)
        tasks().record(7, made, project=3, shown=True)
    recorded = tasks().recorded(7, data, project=3)
    assert recorded is not None
    assert recorded.num_cut == 11
    assert types(recorded.regions) == ["polygonlabels", "textarea"]
