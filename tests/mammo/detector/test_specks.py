"""Scores weighed by the contrast of specks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.detector import Detection, Detector, DetectorSpec, save_detector
from mammo.detector.specks import MAX_STRENGTH, NUM_SPECKS, speck_strengths, weigh
from mammo.geometry import Box, Spacing
from mammo.pixels import Pixels
from tests.mammo.detector.networks import lively_network

SPACING = Spacing(0.07, 0.07, "stated")
BOX = Box(100, 100, 200, 200)


def tissue(*, specks: int = 0, height: float = 0.3, seed: int = 0) -> Pixels:
    """300 x 300 pixels of noise, with bright dots 24 pixels apart from each other in `BOX`."""
    rng = np.random.default_rng(seed)
    pixels = np.full((300, 300), 0.4, np.float32)
    for speck in range(specks):
        row, column = divmod(speck, 4)
        cv2.circle(pixels, (112 + 24 * column, 112 + 24 * row), 2, 0.4 + height, -1)
    noise = cv2.GaussianBlur(rng.normal(0, 0.02, pixels.shape).astype(np.float32), (0, 0), 0.7)
    return np.asarray(pixels + noise, np.float32)


def weighed(pixels: Pixels, *, score: float = 0.5, weight: float = 0.75) -> float:
    (only,) = weigh([Detection(BOX, score)], pixels, spacing=SPACING, weight=weight)
    assert only.box == BOX
    return only.score


def test_eight_bright_specks_leave_the_score_as_it_is() -> None:
    assert speck_strengths(tissue(specks=8), BOX, spacing=SPACING) == pytest.approx(MAX_STRENGTH)
    assert weighed(tissue(specks=8)) == pytest.approx(0.5)


def test_the_score_falls_with_every_missing_speck() -> None:
    scores = [weighed(tissue(specks=number)) for number in range(NUM_SPECKS + 1)]
    assert scores == sorted(scores)
    assert scores[0] < scores[3] < scores[8]


def test_without_any_speck_the_odds_are_divided_by_the_stated_power() -> None:
    flat = np.full((300, 300), 0.4, np.float32)
    assert weighed(flat, score=0.8, weight=1.0) == pytest.approx(4 / (4 + (1 + MAX_STRENGTH)))


def test_a_detection_with_specks_comes_before_one_without() -> None:
    plain, specked = Detection(Box(10, 10, 90, 90), 0.6), Detection(BOX, 0.5)
    order = weigh([plain, specked], tissue(specks=8), spacing=SPACING, weight=0.75)
    assert [each.box for each in order] == [specked.box, plain.box]


def test_strengths_do_not_depend_on_gain_and_offset_of_the_grey_values() -> None:
    pixels = tissue(specks=5, height=0.08)
    other = np.asarray(pixels * 0.5 + 0.2, np.float32)
    np.testing.assert_allclose(
        speck_strengths(pixels, BOX, spacing=SPACING), speck_strengths(other, BOX, spacing=SPACING), rtol=0.01
    )


@given(
    score=st.floats(0.001, 1.0),
    weight=st.floats(0, 4),
    height=st.floats(0, 0.4),
    specks=st.integers(0, 12),
)
def test_a_weighed_score_is_a_score_and_never_higher(
    score: float, weight: float, height: float, specks: int
) -> None:
    result = weighed(tissue(specks=specks, height=height), score=score, weight=weight)
    assert 0 < result <= score * (1 + 1e-9)


def test_a_box_at_the_corner_of_a_tiny_image_is_measured_too() -> None:
    pixels = np.random.default_rng(0).random((9, 7)).astype(np.float32)
    (only,) = weigh([Detection(Box(6, 8, 7, 9), 0.5)], pixels, spacing=None, weight=1.0)
    assert 0 < only.score <= 0.5


def test_a_detector_weighs_as_its_weights_say(tmp_path: Path) -> None:
    found = {}
    for weight in (0.0, 0.75):
        path = tmp_path / f"{weight}.safetensors"
        spec = DetectorSpec(tile=256, overlap=96, speck_weight=weight)
        save_detector(path, lively_network(spec), facts={})
        found[weight] = Detector.load(path, threads=1, runtime="torch")
    pixels = tissue(specks=8)
    for threshold in (0.1, 0.2):
        plain = found[0.0].detect(pixels, threshold=threshold, spacing=SPACING)
        everything = weigh(plain, pixels, spacing=SPACING, weight=0.75)
        expected = [each for each in everything if each.score >= threshold]
        assert 0 < len(expected) < len(everything)
        assert found[0.75].detect(pixels, threshold=threshold, spacing=SPACING) == expected
