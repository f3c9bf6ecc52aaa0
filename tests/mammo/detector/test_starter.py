"""The starter weights that the product ships with, on phantoms they have never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mammo
from mammo.detector import Detector
from mammo.geometry import Point
from mammo.phantom import PhantomView, phantom_view

STARTER = Path(mammo.__file__).parent / "starter" / "detector.safetensors"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(STARTER, threads=1)


def view(seed: int, *, clusters: int) -> PhantomView:
    return phantom_view(seed, clusters=clusters, width=1408, height=1664)


def detect(detector: Detector, phantom: PhantomView, threshold: float) -> list[tuple[Point, float]]:
    pixels = phantom.stored.astype(np.float32) / (2**phantom.bits - 1)
    return [
        (Point(*map(int, detection.box.centre)), detection.score)
        for detection in detector.detect(pixels, threshold=threshold, spacing=None)
    ]


@pytest.mark.slow
def test_the_starter_finds_most_clusters_and_raises_few_false_alarms(detector: Detector) -> None:
    num_clusters = num_found = num_false = 0
    for seed in range(9001, 9007):
        phantom = view(seed, clusters=1)
        centres = [centre for centre, _ in detect(detector, phantom, 0.13)]
        boxes = [finding.box for finding in phantom.truth]
        num_clusters += len(boxes)
        num_found += sum(any(box.contains(centre) for centre in centres) for box in boxes)
        num_false += sum(not any(box.contains(centre) for box in boxes) for centre in centres)
    assert num_clusters >= 4
    assert num_found >= 0.6 * num_clusters
    assert num_false <= 6


def test_the_starter_says_what_it_was_trained_on_and_what_it_reached(detector: Detector) -> None:
    facts = detector.facts
    assert facts["recipe"]["name"] == "starter_mined"
    assert "inserted into the backgrounds of 11 women" in facts["trained_on"]
    assert facts["operating_point"]["real_normals"]["women"] == facts["held_out_inserted"]["women"]
    for part in ("held_out", "held_out_inserted"):
        assert facts[part]["sensitivity_at_false_positives_per_image"]["1"] >= 0.9


def test_the_starter_is_small_enough_to_live_in_a_repository() -> None:
    assert STARTER.stat().st_size < 7 * 2**20
