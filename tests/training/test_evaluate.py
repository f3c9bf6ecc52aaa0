import json
import math

import pytest

from tests.training.detections import at, square
from training.cases import Case, silent
from training.evaluate import LOW_THRESHOLD, evaluate
from training.metrics import sensitivity_at


class FakePrelabeller:
    """Finds what it was told to find in each image; a "mammogram" is the image's name here."""

    version = "m0001-fake"
    threshold = 0.5

    def __init__(self, found):
        self.found = found
        self.asked = []

    def detect(self, mammogram, *, threshold):
        self.asked.append(threshold)
        return [detection for detection, _ in self.found[mammogram] if detection.score >= threshold]

    def prelabel(self, mammogram, *, threshold, detections):
        kept = {d for d in detections if d.score >= self.threshold}
        return [finding for detection, finding in self.found[mammogram] if detection in kept]


def case(name, patient, *truth):
    return Case(image=name, patient=patient, read=lambda: name, truth=truth)


@pytest.fixture
def evaluation():
    found = {
        "a": [(at(5, 5, 0.9), square(0, 0)), (at(105, 105, 0.2), square(100, 100))],
        "b": [(at(50, 50, 0.7), square(45, 45))],
        "c": [],
    }
    cases = [
        case("a", "p1", square(0, 0), square(100, 100)),
        case("b", "p1"),
        case("c", "p2", square(0, 0)),
    ]
    return evaluate(FakePrelabeller(found), cases, progress=silent)


def test_the_froc_sees_low_scores_and_dice_only_what_annotators_would_see(evaluation):
    assert [image.hits.true for image in evaluation.images] == [(True, True), (False,), ()]
    assert [image.dice for image in evaluation.images] == [(1.0, 0.0), (), (0.0,)]
    assert [image.num_findings for image in evaluation.images] == [1, 1, 0]
    assert evaluation.dice == pytest.approx(1 / 3)
    assert sensitivity_at(evaluation.froc, 1.0) == pytest.approx(2 / 3)
    assert (evaluation.patients, evaluation.num_lesions) == (("p1", "p2"), 3)


def test_detection_runs_at_a_low_threshold_once_per_image():
    prelabeller = FakePrelabeller({"a": [], "b": []})
    told = []
    evaluate(prelabeller, [case("a", "p"), case("b", "p")], progress=lambda part, _: told.append(part))
    assert prelabeller.asked == [LOW_THRESHOLD] * 2
    assert told == [0.5, 1.0]


def test_an_evaluation_is_json(evaluation):
    content = json.loads(json.dumps(evaluation.to_json()))
    assert content["version"] == "m0001-fake"
    assert content["images"][0]["hits"]["scores"] == [0.9, 0.2]


def test_no_lesion_is_no_number():
    empty = evaluate(FakePrelabeller({"a": []}), [case("a", "p")], progress=silent)
    assert math.isnan(empty.dice)
    with pytest.raises(ValueError, match="lesions"):
        _ = empty.froc
