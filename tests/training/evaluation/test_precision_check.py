from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mammo.detector import Detection
from mammo.geometry import Box
from mammo.models import precision_notes
from mammo.models.precision_notes import PRECISION_CHECK, allows_bfloat16
from tests.training.detections import at, square
from training.cases import Case, silent
from training.evaluation.precision_check import PrecisionRule, check_precision, largest_change

RULE = PrecisionRule(draws=200, min_speedup=0.0)
THRESHOLD = 0.5
Found = dict[str, list[Any]]


def cases(patients: int) -> list[Case]:
    """Two images a patient, each with one cluster."""
    return [
        Case(
            image=f"{patient}-{view}",
            patient=str(patient),
            read=lambda name=f"{patient}-{view}": name,  # type: ignore[misc]
            truth=(square(0, 0),),
        )
        for patient in range(patients)
        for view in "ab"
    ]


def found_by(images: list[Case]) -> Found:
    """Each cluster, and a false detection below the operating point, with scores of their own."""
    rng = np.random.default_rng(0)
    return {
        each.image: [at(5, 5, rng.uniform(0.6, 0.9)), at(105, 105, rng.uniform(0.02, 0.4))] for each in images
    }


def checked(images: list[Case], old: Found, new: Found, rule: PrecisionRule = RULE) -> Any:
    return check_precision(
        lambda name: old[name],  # type: ignore[index]
        lambda name: new[name],  # type: ignore[index]
        images,
        threshold=THRESHOLD,
        rule=rule,
        progress=silent,
    )


def moved(found: Found, amount: float) -> Found:
    return {
        name: [replace(each, score=each.score + amount) for each in detections]
        for name, detections in found.items()
    }


def test_scores_that_move_without_changing_what_is_found_are_equal_and_the_change_is_stated():
    images = cases(20)
    old = found_by(images)
    check = checked(images, old, moved(old, 0.01))
    assert check.passed
    assert check.largest_score_change == pytest.approx(0.01)
    assert (check.num_patients, check.num_images, check.num_lesions) == (20, 40, 40)
    assert "largest change of a score 0.010" in check.sentence


def test_clusters_that_fall_below_the_operating_point_refuse_bfloat16():
    images = cases(20)
    old = found_by(images)
    lost = {each.image for each in images[:6]}
    new = {name: moved({name: each}, -0.5)[name] if name in lost else each for name, each in old.items()}
    check = checked(images, old, {name: [d for d in each if d.score > 0] for name, each in new.items()})
    assert not check.passed
    assert check.sensitivity.value == pytest.approx(-6 / 40)
    assert check.sentence.startswith("float32 serves: ")


def test_new_false_alarms_at_the_operating_point_refuse_bfloat16():
    images = cases(20)
    old = found_by(images)
    new = {name: [*each, at(205, 205, 0.55)] for name, each in old.items()}
    check = checked(images, old, new)
    assert not check.passed
    assert check.false_positives.value == pytest.approx(1.0)


def test_fewer_false_alarms_are_no_loss():
    images = cases(20)
    old = {name: [*each, at(205, 205, 0.55)] for name, each in found_by(images).items()}
    new = {name: each[:-1] if name.endswith("a") else each for name, each in old.items()}
    check = checked(images, old, new)
    assert check.false_positives.value == pytest.approx(-0.5)
    assert "false positives" not in check.sentence.partition(";")[0]


@pytest.mark.parametrize(
    ("patients", "rule", "reason"),
    [
        (5, RULE, "too few to tell"),
        (20, replace(RULE, min_lesions=41), "too few to tell"),
        (20, replace(RULE, min_speedup=math.inf), "times as fast"),
    ],
)
def test_what_is_equal_is_refused_all_the_same_with_few_patients_or_without_gain(patients, rule, reason):
    images = cases(patients)
    old = found_by(images)
    check = checked(images, old, old, rule)
    assert not check.passed
    assert reason in check.sentence


def test_one_loss_among_few_patients_is_no_equality():
    """The interval is what counts, not the difference: it is wide where patients are few."""
    images = cases(12)
    old = found_by(images)
    new = {name: each[1:] if name == "0-a" else each for name, each in old.items()}
    assert not checked(images, old, new).passed


def test_a_detection_without_a_partner_changed_by_its_whole_score():
    one = Detection(Box(0, 0, 10, 10), 0.3)
    assert largest_change([one], []) == largest_change([], [one]) == 0.3
    assert largest_change([one], [replace(one, score=0.28)]) == pytest.approx(0.02)


@pytest.fixture
def noted(registry, monkeypatch):
    """Notes a check of the version `v`, and returns whether it may then serve in bfloat16 here."""
    monkeypatch.setattr(precision_notes, "has_bfloat16", lambda: True)

    def note(**changes: Any) -> bool:
        images = cases(20)
        old = found_by(images)
        detail = checked(images, old, moved(old, 0.01)).to_json() | changes
        registry.note("starter-1", PRECISION_CHECK, detail)
        return allows_bfloat16(registry.notes("starter-1"))

    return note


@pytest.fixture
def registry(world):
    return world.registry


def test_without_a_check_a_version_serves_in_float32(registry, tmp_path):
    assert not registry.files("starter-1", into=tmp_path / "files").bfloat16


def test_a_check_that_passed_here_lets_the_version_serve_in_bfloat16(noted, registry, tmp_path):
    assert noted()
    assert registry.files("starter-1", into=tmp_path / "files").bfloat16


def test_a_processor_without_bfloat16_never_does(noted, monkeypatch, registry, tmp_path):
    noted()
    monkeypatch.setattr(precision_notes, "has_bfloat16", lambda: False)
    assert not registry.files("starter-1", into=tmp_path / "files").bfloat16


@pytest.mark.parametrize("what", ["processor", "openvino", "release"])
def test_a_check_of_another_machine_library_or_release_does_not_hold_here(noted, what):
    elsewhere = precision_notes.measured_with() | {what: "another"}
    assert not noted(measured_with=elsewhere)


def test_the_newest_check_decides(noted):
    assert noted()
    assert not noted(passed=False)
    assert noted(passed=True, speedup=2.0)
