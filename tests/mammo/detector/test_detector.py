from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mammo.detector import Detector, DetectorNetwork, DetectorSpec, save_detector
from mammo.errors import UnreadableImage
from mammo.geometry import Spacing
from mammo.pixels import Pixels
from tests.mammo.detector.networks import lively_network

# isort: split
import ultralytics


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    network = lively_network(DetectorSpec(tile=256, overlap=96))
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    save_detector(path, network, facts={"seed": 1})
    return Detector.load(path, threads=1)


def mammogram(height: int, width: int, *, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0.3, 0.6, (height, width)).astype(np.float32)
    pixels[:, width * 2 // 3 :] = 0  # air
    return pixels


def test_detections_are_sorted_scored_above_the_threshold_and_inside_the_image(detector: Detector) -> None:
    detections = detector.detect(mammogram(700, 500), threshold=0.1, spacing=None)
    assert len(detections) > 3
    scores = [detection.score for detection in detections]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.1
    for detection in detections:
        assert 0 <= detection.box.x0 < detection.box.x1 <= 500
        assert 0 <= detection.box.y0 < detection.box.y1 <= 700


def test_the_same_pixels_give_the_same_detections(detector: Detector) -> None:
    pixels = mammogram(600, 400)
    first = detector.detect(pixels, threshold=0.1, spacing=None)
    assert first
    assert detector.detect(pixels, threshold=0.1, spacing=None) == first


def test_detection_leaves_the_pixels_as_they_were(detector: Detector) -> None:
    pixels = mammogram(300, 300)
    before = pixels.copy()
    detector.detect(pixels, threshold=0.1, spacing=None)
    np.testing.assert_array_equal(pixels, before)


def test_threads_with_other_sizes_and_thresholds_do_not_disturb_each_other(detector: Detector) -> None:
    jobs = [(mammogram(200 + 130 * n, 260, seed=n), 0.05 if n % 2 else 0.4) for n in range(4)] * 3
    alone = [detector.detect(pixels, threshold=threshold, spacing=None) for pixels, threshold in jobs]
    assert any(alone)
    assert alone[0] != alone[1]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: detector.detect(job[0], threshold=job[1], spacing=None), jobs))
    assert together == alone


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 31), (40, 900)])
def test_images_smaller_than_a_tile_are_detected_too(detector: Detector, height: int, width: int) -> None:
    for detection in detector.detect(np.full((height, width), 0.5, np.float32), threshold=0.05, spacing=None):
        assert detection.box.x1 <= width
        assert detection.box.y1 <= height


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4), np.float32)]
)
def test_other_arrays_than_grey_float_pixels_are_the_callers_mistake(detector: Detector, pixels: Any) -> None:
    with pytest.raises(ValueError, match="expected H x W float32"):
        detector.detect(pixels, threshold=0.5, spacing=None)


@pytest.mark.parametrize(("height", "width"), [(20_000, 20_000), (8, 20_001), (30_000, 1)])
def test_an_image_too_large_to_look_at_is_refused_with_the_limit(
    detector: Detector, height: int, width: int
) -> None:
    endless = np.broadcast_to(np.float32(0.5), (height, width))  # takes no memory
    with pytest.raises(UnreadableImage, match=f"up to .* got {width} x {height}; crop") as caught:
        detector.detect(endless, threshold=0.5, spacing=None)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_pixels_that_are_no_numbers_are_refused(detector: Detector, value: float) -> None:
    pixels = mammogram(100, 80)
    pixels[50, 40] = value
    with pytest.raises(UnreadableImage, match="finite") as caught:
        detector.detect(pixels, threshold=0.5, spacing=None)
    assert caught.value.code == "not_finite"


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_outside_0_and_1_is_the_callers_mistake(detector: Detector, threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        detector.detect(np.zeros((32, 32), np.float32), threshold=threshold, spacing=None)


def test_boxes_of_a_resampled_image_come_back_in_its_own_pixels(detector: Detector) -> None:
    """Rows twice as far apart as columns: the network sees square pixels."""
    pixels = mammogram(400, 500, seed=3)
    square = cv2.resize(pixels, (500, 800), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    expected = detector.detect(square, threshold=0.1, spacing=None)
    detections = detector.detect(pixels, threshold=0.1, spacing=Spacing(0.14, 0.07, "given"))
    assert len(detections) == len(expected) > 3
    for detection, other in zip(detections, expected, strict=True):
        assert detection.score == pytest.approx(other.score, abs=1e-5)
        x0, y0, x1, y1 = other.box.as_tuple()
        assert detection.box.as_tuple() == pytest.approx((x0, y0 / 2, x1, y1 / 2), abs=1)


def test_a_loaded_detector_knows_its_spec_and_facts(detector: Detector) -> None:
    assert detector.spec.tile == 256
    assert detector.facts == {"seed": 1}


def test_ultralytics_was_made_offline_before_it_was_imported() -> None:
    assert ultralytics.utils.ONLINE is False
    assert ultralytics.utils.checks.AUTOINSTALL is False
    assert ultralytics.settings["sync"] is False
    assert ultralytics.settings["mlflow"] is False


def test_the_whole_walk_of_one_file_needs_no_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("serving unpickled something")

    path = tmp_path / "detector.safetensors"
    save_detector(path, DetectorNetwork(DetectorSpec(tile=64, overlap=0)), facts={})
    monkeypatch.setattr(torch, "load", refuse)
    assert Detector.load(path).detect(mammogram(64, 64), threshold=0.9, spacing=None) == []
