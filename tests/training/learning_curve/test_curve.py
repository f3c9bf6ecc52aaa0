"""The points of a curve are compared on the held-out patients that all of them have in common."""

import json

import orjson
import pytest

from training.evaluation.model_version import Evaluation, ImageScore
from training.gate.gate import GateRule
from training.learning_curve.curve import Judged, Measurement, curve_of
from training.learning_curve.measure import only, paired_errors, pseudo_values, value
from training.metrics import Hits

RULE = GateRule(primary="dice")


def evaluation(scores, version="m1"):
    """One image with one cluster per patient, and its Dice."""
    images = [
        ImageScore(f"image-{patient}", patient, Hits((0.9,), (True,), 1), (dice,), 1, 0.1)
        for patient, dice in scores.items()
    ]
    return Evaluation(version, 0.2, tuple(images))


def patients(number, dice, *, worse=()):
    return {f"patient-{each:02d}": dice - 0.2 * (each in worse) for each in range(number)}


def test_the_score_of_a_part_is_that_of_its_patients():
    whole = evaluation({"a": 0.5, "b": 0.7, "c": 0.9})
    assert value(only(whole, {"a", "c"}), rule=RULE) == pytest.approx(0.7)
    assert pseudo_values(whole, rule=RULE) == pytest.approx(
        [0.5, 0.7, 0.9]
    )  # of a mean, the values themselves


def test_a_difference_that_all_patients_share_is_no_error_of_a_point():
    better, worse = evaluation(patients(6, 0.8, worse=(1, 2))), evaluation(patients(6, 0.6, worse=(1, 2)))
    assert paired_errors([better, worse], rule=RULE) == pytest.approx([0.0, 0.0])


def test_points_of_growing_dataset_versions_are_measured_on_the_same_patients():
    measurements = [
        Measurement(10, evaluation(patients(4, 0.5)), "run one"),
        Measurement(20, evaluation(patients(6, 0.6, worse=(5,))), "run two"),
        Measurement(30, evaluation(patients(8, 0.7, worse=(5,))), "run three"),
    ]
    champion = evaluation(patients(8, 0.4, worse=(2,)))
    judged = Judged(champion, measurements[-1].evaluation, held_out=8)
    curve = curve_of(measurements, judged, rule=RULE, method="each point is a run")
    assert curve.held_out == 4
    assert [(point.patients, round(point.score.value, 3)) for point in curve.points] == [
        (10, 0.5),
        (20, 0.6),
        (30, 0.7),
    ]
    assert curve.law.forecast(60).value > 0.7
    content = curve.to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert orjson.loads(orjson.dumps(content)) == content, (
        "it is stored with orjson, which takes no float of numpy"
    )
    assert [each["patients"] for each in content["law"]["forecast"]] == [38, 45, 60]
    assert "gain of 0.05" in content["sentence"]


def test_a_run_on_other_patients_is_left_out():
    other = evaluation({"somebody": 0.9})
    measurements = [
        Measurement(10, other, "another held-out set"),
        Measurement(20, evaluation(patients(4, 0.5)), "run"),
    ]
    curve = curve_of(measurements, None, rule=RULE, method="each point is a run")
    assert [point.source for point in curve.points] == ["run"]
    assert (curve.law, curve.missing) == (None, None)
    assert "too few held-out patients" in curve.sentence
