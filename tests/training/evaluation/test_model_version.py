import json
import math
from dataclasses import replace

import pytest

from mammo.findings import ImageFindings
from mammo.geometry import Box
from tests.training.detections import at, square
from training.cases import Case, silent
from training.evaluation.model_version import LOW_THRESHOLD, Evaluation, evaluate
from training.metrics import sensitivity_at


class FakePrelabeller:
    """Returns the given detections and findings of each image; a "mammogram" is the image's name here."""

    version = "m0001-fake"
    threshold = 0.5

    def __init__(self, found):
        self.found = found
        self.thresholds = []

    def detect(self, mammogram, *, threshold):
        self.thresholds.append(threshold)
        return [detection for detection, _ in self.found[mammogram] if detection.score >= threshold]

    def prelabel(self, mammogram, *, threshold, detections):
        shown = {d for d in detections if d.score >= self.threshold}
        findings = tuple(finding for detection, finding in self.found[mammogram] if detection in shown)
        return ImageFindings(findings=findings, num_cut=0)


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
    fractions = []
    evaluate(prelabeller, [case("a", "p"), case("b", "p")], progress=lambda part, _: fractions.append(part))
    assert prelabeller.thresholds == [LOW_THRESHOLD] * 2
    assert fractions == [0.5, 1.0]


def test_an_evaluation_is_json(evaluation):
    content = json.loads(json.dumps(evaluation.to_json()))
    assert content["version"] == "m0001-fake"
    assert content["images"][0]["hits"]["scores"] == [0.9, 0.2]


def test_no_lesion_is_no_number():
    empty = evaluate(FakePrelabeller({"a": []}), [case("a", "p")], progress=silent)
    assert math.isnan(empty.dice)
    with pytest.raises(ValueError, match="lesions"):
        _ = empty.froc


def test_what_is_found_where_only_a_place_is_marked_is_not_judged():
    found = {"a": [(at(5, 5, 0.9), square(0, 0)), (at(55, 55, 0.8), square(50, 50))]}
    marked = replace(case("a", "p", square(0, 0)), uncertain=(Box(40, 40, 70, 70),))
    before, after = (
        evaluate(FakePrelabeller(found), [each], progress=silent)
        for each in (case("a", "p", square(0, 0)), marked)
    )
    assert (before.images[0].hits.true, before.images[0].num_findings) == ((True, False), 2)
    assert (after.images[0].hits.true, after.images[0].num_findings) == ((True,), 1)
    assert after.dice == 1.0


def test_an_evaluation_of_before_marked_places_is_still_read(evaluation):
    content = json.loads(json.dumps(evaluation.to_json()))
    assert Evaluation.from_json(content) == evaluation
    for image in content["images"]:
        del image["hits"]["undecided"]
    assert Evaluation.from_json(content) == evaluation
