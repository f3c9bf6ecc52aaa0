import json
import math

import pytest

from benchmarks.paper.detector_tables import table_2
from mammo.geometry import Box
from tests.training.detections import at, square
from training.cases import Case, silent
from training.evaluation.detector import breakdown, measure, score_images
from training.evaluation.detector_report import detector_report
from training.phantom_cases import Traits

SMALL = Traits("punctate", "a", 6.0)
LARGE = Traits("linear", "c", 13.0)


@pytest.fixture(scope="module")
def scored():
    """Four patients with two clusters each; the detector finds every punctate one, and no linear one."""
    cases, traits, found = [], {}, {}
    for number in range(4):
        name = f"image-{number}"
        truth = (square(0, 0), square(100, 100))
        cases.append(Case(image=name, patient=f"p{number}", read=lambda name=name: name, truth=truth))
        traits[name] = (SMALL, LARGE)
        found[name] = [at(5, 5, 0.9, side=10), at(60, 60, 0.4)]
    cases.append(Case(image="normal", patient="p0", read=lambda: "normal", truth=()))
    found["normal"] = [at(9, 9, 0.3)]
    return score_images(found.__getitem__, cases, traits=traits, progress=silent)


def test_figures_at_the_operating_point_are_those_of_the_definition(scored):
    found = measure(scored, threshold=0.5, draws=50)
    assert (found.num_patients, found.num_images, found.num_lesions) == (4, 5, 8)
    assert found.sensitivity.value == 0.5
    assert found.precision.value == 1.0
    assert found.f1.value == pytest.approx(2 / 3)
    assert found.false_positives.value == 0.0
    assert measure(scored, threshold=0.35, draws=50).false_positives.value == pytest.approx(4 / 5)
    assert found.froc_centre[0.1].value == 0.5
    assert found.froc_iou50[0.1].value == 0.5
    assert found.ap50.value == pytest.approx(0.5, abs=0.01)  # 101 points: 51 of them have precision 1
    assert found.sensitivity.low == found.sensitivity.high == 0.5  # every patient is alike


def test_what_lies_where_only_a_place_is_marked_is_in_no_figure():
    """One detection at the place, and one beside the outlined cluster of another image."""

    def figures(uncertain):
        truth = {"marked": (), "clear": (square(0, 0),)}
        found = {"marked": [at(55, 55, 0.9)], "clear": [at(5, 5, 0.8, side=10), at(55, 55, 0.9)]}
        cases = [
            Case(image=n, patient=n, read=lambda n=n: n, truth=truth[n], uncertain=uncertain) for n in truth
        ]
        return measure(score_images(found.__getitem__, cases, progress=silent), threshold=0.5, draws=20)

    before, after = figures(()), figures((Box(40, 40, 70, 70),))
    assert (before.precision.value, after.precision.value) == (pytest.approx(1 / 3), 1.0)
    assert (before.false_positives.value, after.false_positives.value) == (1.0, 0.0)
    assert before.ap50.value < after.ap50.value == pytest.approx(1.0)
    assert (before.froc_centre[0.5].value, after.froc_centre[0.5].value) == (0.0, 1.0)


def test_sensitivity_is_broken_down_by_what_the_clusters_are(scored):
    parts = breakdown(scored, threshold=0.5, draws=50)
    assert {value: (count, figure.value) for value, (count, figure) in parts["morphology"].items()} == {
        "punctate": (4, 1.0),
        "linear": (4, 0.0),
    }
    assert set(parts["extent"]) == {"below 8 mm", "above 12 mm"}
    assert set(parts["density"]) == {"a", "c"}


def test_a_report_is_markdown_json_and_a_picture(scored, tmp_path):
    facts = {"model": "m0001", "data": "phantoms, seeds 1-4"}
    found = measure(scored, threshold=0.5, draws=50)
    paths = detector_report(scored, found, facts=facts, draws=50).write(tmp_path, name="detector")
    assert [path.name for path in paths] == ["detector.md", "detector.json", "detector.froc.png"]
    text = paths[0].read_text()
    assert "| sensitivity (TPR) | 0.500 (0.500-0.500) |" in text
    assert "seeds 1-4" in text
    assert "95 %, 50 draws of patients, seed 0" in text
    assert "| morphology | linear | 4 | 0.000 (0.000-0.000) |" in text
    content = json.loads(paths[1].read_text())
    assert content["figures"]["measured"]["sensitivity"]["value"] == 0.5
    assert content["images"]["detector"][0]["found"][0] == [0, 0, 10, 10, 0.9]
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_table_2_counts_clusters_boxes_and_images(scored):
    report = table_2(scored, facts={}, draws=50)
    low = report.figures["0.3"]
    assert low["tpr"]["value"] == 0.5
    assert low["fpr"]["value"] == 1.0  # the one normal image is called positive
    assert low["acc"]["value"] == pytest.approx(4 / 5)
    assert low["precision"]["value"] == pytest.approx(4 / 9)
    assert low["dice"]["value"] == pytest.approx(0.5)
    high = report.figures["0.5"]
    assert (high["fpr"]["value"], high["acc"]["value"], high["precision"]["value"]) == (0.0, 1.0, 1.0)
    assert "| 0.5 | 0.500" in report.tables[0].to_markdown()


def test_without_traits_there_is_no_breakdown():
    case = Case(image="a", patient="p", read=lambda: "a", truth=(square(0, 0),))
    scored = score_images(lambda _: [at(5, 5, 0.9)], [case], progress=silent)
    assert breakdown(scored, threshold=0.5) == {}
    assert math.isnan(measure([], threshold=0.5).ap50.value)
    assert scored[0].truth == (Box(0, 0, 10, 10),)
