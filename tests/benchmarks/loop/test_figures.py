"""Figures are paired by image and by patient, and say nothing where there is nothing."""

import math

import pytest

from benchmarks.loop.arms import ARMS
from benchmarks.loop.figures import Labels, flawless, gained, hours_until, saved, score, seconds
from benchmarks.loop.gestures import DECISIONS, prices
from benchmarks.loop.report import tables
from benchmarks.loop.simulation import ReadImage, Round, Simulated
from training.evaluation.model_version import Evaluation, ImageScore
from training.metrics import Hits

DECISION = prices().operators["decide"]


def frozen(hit_scores):
    """An evaluation of patients with one lesion each, which was met with this score, or missed (None)."""
    images = tuple(
        ImageScore(
            image=f"{number:064x}",
            patient=f"frozen-{number}",
            hits=Hits(() if each is None else (each,), () if each is None else (True,), 1),
            dice=(0.0 if each is None else 0.8,),
            num_findings=1,
            seconds=0.1,
        )
        for number, each in enumerate(hit_scores)
    )
    return Evaluation("m1", 0.2, images).to_json()


def project(decisions, *, arm="loop", seed=0, scores=None, images=6):
    """A project whose images all took so many decisions in each round."""
    read = tuple(
        ReadImage(
            round=number,
            image=f"{number}-{index}",
            patient=f"patient-{index}",
            blind=False,
            tally={DECISIONS: each + index},
            lesions=2,
            found=1,
            false=1,
            dice=(0.5, 0.0),
        )
        for number, each in enumerate(decisions, 1)
        for index in range(images)
    )
    rounds = tuple(
        Round(number=number, version="m1", frozen=frozen(each) if each else None, training={"kind": "none"})
        for number, each in enumerate(scores or [None] * len(decisions), 1)
    )
    plan = {"patients": images, "frozen": 4, "rounds": len(decisions), "width": 1, "height": 1}
    return Simulated(
        arm=ARMS[arm].to_json(),
        seed=seed,
        material="a test",
        plan=plan,
        images=read,
        rounds=rounds,
        efforts=(),
    )


def test_seconds_are_the_mean_over_the_images_of_a_round():
    assert seconds({0: project([10, 20])}, 2) == pytest.approx((20 + 2.5) * DECISION)
    assert seconds({0: project([10, 20])}, 2, reading=5.0) == pytest.approx((20 + 2.5) * DECISION + 5.0)
    assert math.isnan(seconds({0: project([10])}, 3))


def test_a_flawless_prelabel_costs_the_decisions_and_the_next_task():
    least = 3 * DECISION + prices().of("submit and see the next task")  # the image, and two lesions
    assert flawless({0: project([10])}, 1) == pytest.approx(least)


def test_a_saving_is_a_share_of_the_other_arms_seconds_on_the_same_images():
    share = saved({0: project([10, 10])}, {0: project([10, 20])}, [2])
    assert share.value == pytest.approx(1 - 12.5 / 22.5)
    assert share.low < share.value < share.high
    assert saved({0: project([10])}, {0: project([10])}, [1]).value == 0.0


def test_only_common_seeds_are_compared():
    ours = {0: project([10]), 1: project([1], seed=1)}
    assert saved(ours, {0: project([10])}, [1]).value == 0.0
    assert math.isnan(saved(ours, {2: project([10])}, [1]).value)


def test_reading_dilutes_a_saving():
    ours, theirs = {0: project([10])}, {0: project([20])}
    assert saved(ours, theirs, [1], reading=60.0).value < saved(ours, theirs, [1]).value / 2


def test_scores_are_those_of_the_gate_and_their_difference_is_paired():
    better, worse = [[0.9, 0.9, 0.9, 0.9]], [[0.9, None, 0.9, None]]
    ours, theirs = {0: project([1], scores=better)}, {0: project([1], scores=worse)}
    assert score(ours, 1).value == pytest.approx((1.0 + 0.8) / 2)
    assert score(theirs, 1).value == pytest.approx((0.5 + 0.4) / 2)
    difference = gained(ours, theirs, 1)
    assert difference.value == pytest.approx(0.45)
    assert gained(ours, ours, 1).low == gained(ours, ours, 1).high == 0.0


def test_an_arm_without_a_model_has_no_score():
    assert math.isnan(score({0: project([1])}, 1).value)


def test_hours_count_what_was_read_before_the_model_served():
    ours = project([10, 10], scores=[[0.9, None, None, None], [0.9, 0.9, 0.9, 0.9]])
    assert hours_until(ours, 0.8, reading=0.0) == pytest.approx(6 * 12.5 * DECISION / 3600)
    assert math.isinf(hours_until(ours, 0.99, reading=0.0))


def test_labels_are_compared_with_the_truth():
    labels = Labels.of({0: project([1])})
    assert (labels.found, labels.false, labels.dice) == (0.5, 1.0, 0.25)


def test_results_are_read_as_they_were_written(tmp_path):
    ours = project([1, 2], scores=[[0.9, None, 0.5, 0.2]] * 2)
    first, second = tmp_path / "results" / "first.json", tmp_path / "results" / "second.json"
    ours.write(first)
    again = Simulated.read(first)
    assert (again.images, again.frozen(2)) == (ours.images, ours.frozen(2))
    again.write(second)
    assert second.read_bytes() == first.read_bytes()


def test_every_table_is_printed_also_of_few_arms():
    scores = [[0.9, None, 0.9, None]] * 3
    results = {
        "no-model": {0: project([30, 30, 30], arm="no-model")},
        "starter": {0: project([20, 20, 20], arm="starter", scores=scores)},
        "loop": {0: project([20, 10, 10], scores=scores)},
    }
    printed = "\n".join(table.markdown() for table in tables(results))
    assert "+47%" in printed
    assert "not reached" in printed
    assert [table.title for table in tables({"loop": results["loop"]})]
