from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mammo.detector import Detector, DetectorNetwork, DetectorSpec, RuntimeName, find_breast, save_detector
from mammo.detector.normalise import Breast, Normalisation, Planes
from mammo.detector.tiling import Candidate, merge
from mammo.errors import UnreadableImage
from mammo.geometry import Box, Point, Size, Spacing
from mammo.pixels import Pixels
from tests.mammo.detector.networks import lively_network

# isort: split
import ultralytics


def detector_of(folder: Path, *, kind: Normalisation, runtime: RuntimeName = "auto") -> Detector:
    path = folder / f"{kind}.safetensors"
    network = lively_network(DetectorSpec(tile=256, overlap=96, normalisation=kind))
    save_detector(path, network, facts={"seed": 1})
    return Detector.load(path, threads=1, runtime=runtime)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return detector_of(tmp_path_factory.mktemp("weights"), kind="grey-and-p99-contrast")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """As weights from before December 2026: images made finer get no noise."""
    return detector_of(tmp_path_factory.mktemp("older"), kind="grey-and-contrast")


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


def test_boxes_of_a_resampled_image_come_back_in_its_own_pixels(older: Detector) -> None:
    """Rows twice as far apart as columns: the network sees square pixels."""
    pixels = mammogram(400, 500, seed=3)
    square = cv2.resize(pixels, (500, 800), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    expected = older.detect(square, threshold=0.1, spacing=None)
    detections = older.detect(pixels, threshold=0.1, spacing=Spacing(0.14, 0.07, "given"))
    assert len(detections) == len(expected) > 3
    for detection, other in zip(detections, expected, strict=True):
        assert detection.score == pytest.approx(other.score, abs=1e-5)
        x0, y0, x1, y1 = other.box.as_tuple()
        assert detection.box.as_tuple() == pytest.approx((x0, y0 / 2, x1, y1 / 2), abs=1)


def half_a_disc() -> Pixels:
    """A breast that fills its box to three quarters; in the corner of the box dots like a cluster, and a marker."""
    rows, columns = np.mgrid[:700, :500]
    outside = (columns / 400) ** 2 + ((rows - 350) / 350) ** 2 > 1
    pixels = np.random.default_rng(0).uniform(0.3, 0.6, (700, 500)).astype(np.float32)
    pixels[outside] = 0
    pixels[20:60:10, 300:360:10] = 0.8
    pixels[620:660, 340:380] = 1.0
    return pixels


def test_detections_beside_the_breast_are_dropped_and_all_others_stay(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = half_a_disc()
    detections = detector.detect(pixels, threshold=0.05, spacing=None)
    on_breast = Breast.holds
    monkeypatch.setattr(Breast, "holds", lambda *_: True)
    everything = detector.detect(pixels, threshold=0.05, spacing=None)
    breast = find_breast(pixels)
    assert detections == [each for each in everything if on_breast(breast, *each.box.centre)]
    corner = Box(300, 20, 360, 60)
    assert any(corner.contains(Point(*map(int, each.box.centre))) for each in everything)
    assert not any(corner.contains(Point(*map(int, each.box.centre))) for each in detections)


def test_the_breast_is_asked_at_the_place_in_the_mammogram_however_it_is_resampled(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows twice as far apart as columns, so that a place lies twice as low in the pixels that the network sees."""
    pixels = cv2.resize(half_a_disc(), (500, 350), interpolation=cv2.INTER_AREA)
    detections = detector.detect(pixels, threshold=0.05, spacing=Spacing(0.14, 0.07, "given"))
    on_breast = Breast.holds
    monkeypatch.setattr(Breast, "holds", lambda *_: True)
    everything = detector.detect(pixels, threshold=0.05, spacing=Spacing(0.14, 0.07, "given"))
    breast = find_breast(cv2.resize(pixels, (500, 700), interpolation=cv2.INTER_CUBIC).clip(0, 1))
    centres = {each: each.box.centre for each in everything}
    assert detections == [each for each, (x, y) in centres.items() if on_breast(breast, x, 2 * y)]
    assert 0 < len(detections) < len(everything)


def older_planes(pixels: Pixels) -> Planes:
    """The formula of `grey-and-contrast`, for an image that is all breast, with sides that are multiples of 4."""
    height, width = pixels.shape
    low, high = np.percentile(pixels[::4, ::4], (1, 99))
    grey = np.clip((pixels - low) / (high - low) * 0.7 + 0.05, 0, 1).astype(np.float32)
    quarter = cv2.resize(grey, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(quarter, (0, 0), 1.5)
    surroundings = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    planes = [grey]
    for image in (grey, cv2.GaussianBlur(grey, (0, 0), 1.2)):
        contrast = image - surroundings
        sample = contrast[::4, ::4]
        deviation = 1.4826 * np.median(np.abs(sample - np.median(sample)))
        planes.append(np.clip((20 * contrast / deviation + 70) / 255, 0, 1).astype(np.float32))
    return np.array(planes)


@pytest.mark.parametrize(("runtime", "spacing_mm"), [("torch", 0.07), ("torch", 0.14), ("openvino", 0.14)])
def test_weights_from_before_the_second_normalisation_are_served_with_the_planes_of_their_training(
    detector: Detector, tmp_path: Path, runtime: RuntimeName, spacing_mm: float
) -> None:
    """Whatever is new in the planes, also in images made finer: detections of the older kind must not change."""
    older = detector_of(tmp_path, kind="grey-and-contrast", runtime=runtime)
    scale = 0.07 / spacing_mm
    side = round(256 * scale)
    pixels = np.random.default_rng(3).uniform(0.3, 0.6, (side, side)).astype(np.float32)
    pixels[::10] += 0.2
    finer = cv2.resize(pixels, (256, 256), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    assert find_breast(finer).cells.all()
    rows = older.runtime.detect(older_planes(finer), threshold=0.1).tolist()
    candidates = [Candidate(*(scale * each for each in row[:4]), row[4], cut=False) for row in rows]
    expected = merge(candidates, Size(side, side))
    spacing = Spacing(spacing_mm, spacing_mm, "given")
    detections = older.detect(pixels, threshold=0.1, spacing=spacing)
    assert [each.score for each in detections] == pytest.approx([each.score for each in expected], abs=1e-3)
    for detection, other in zip(detections, expected, strict=True):
        assert detection.box.as_tuple() == pytest.approx(other.box.as_tuple(), abs=1)
    assert detections != detector.detect(pixels, threshold=0.1, spacing=spacing), "the newer kind differs"


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
