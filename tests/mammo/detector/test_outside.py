"""The starter on what is no ordinary phantom: film scans, other pitches, markers, empty and tiny images."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

import mammo
from mammo.detector import Detection, Detector, find_breast, load_network
from mammo.detector.normalise import CELL
from mammo.geometry import Box, Point, Spacing
from mammo.phantom import PhantomView, phantom_view
from mammo.pixels import Pixels

STARTER = Path(mammo.__file__).parent / "starter" / "detector.safetensors"

SEEDS = range(9201, 9207)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(STARTER, threads=1)


@cache
def view(seed: int, *, spacing_mm: float = 0.07) -> PhantomView:
    width, height = (round(side * 0.07 / spacing_mm) for side in (1216, 1536))
    return phantom_view(seed, clusters=1, spacing_mm=spacing_mm, width=width, height=height)


def pixels_of(phantom: PhantomView, *, bits: int | None = None) -> Pixels:
    pixels = phantom.stored / (2**phantom.bits - 1)
    if bits:
        pixels = np.rint(pixels * (2**bits - 1)) / (2**bits - 1)
    return pixels.astype(np.float32)


def hits(detections: list[Detection], phantom: PhantomView) -> int:
    centres = [detection.box.centre for detection in detections]
    boxes = [finding.box for finding in phantom.truth]
    return sum(any(b.x0 <= x < b.x1 and b.y0 <= y < b.y1 for x, y in centres) for b in boxes)


@pytest.mark.slow
@pytest.mark.parametrize(("spacing_mm", "bits"), [(0.2, 8), (0.05, 14)])
def test_most_clusters_are_found_on_film_scans_and_on_finer_detectors(
    detector: Detector, spacing_mm: float, bits: int
) -> None:
    num_hits = num_false = 0
    for seed in SEEDS:
        phantom = view(seed, spacing_mm=spacing_mm)
        detections = detector.detect(
            pixels_of(phantom, bits=bits), threshold=0.13, spacing=Spacing(spacing_mm, spacing_mm, "given")
        )
        num_hits += hits(detections, phantom)
        num_false += len(detections) - hits(detections, phantom)
    assert num_hits >= 4
    assert num_false <= len(SEEDS)


def test_without_its_spacing_a_film_scan_gets_worse_boxes(detector: Detector) -> None:
    """The proof that it is the millimetres that help."""
    fits = {True: 0.0, False: 0.0}
    for seed in SEEDS:
        phantom = view(seed, spacing_mm=0.2)
        for is_stated in fits:
            spacing = Spacing(0.2, 0.2, "given") if is_stated else None
            detections = detector.detect(pixels_of(phantom, bits=8), threshold=0.1, spacing=spacing)
            for truth in phantom.truth:
                fits[is_stated] += max((each.box.iou(truth.box) for each in detections), default=0.0)
    assert fits[True] > fits[False]


def test_markers_and_labels_are_no_findings_and_hide_none(detector: Detector) -> None:
    phantom = view(9201)
    plain = pixels_of(phantom)
    marked = plain.copy()
    height, width = marked.shape
    cv2.putText(marked, "L CC", (width - 330, 160), cv2.FONT_HERSHEY_SIMPLEX, 4.0, 1.0, 12)
    cv2.rectangle(marked, (width - 260, height - 220), (width - 40, height - 60), 1.0, -1)
    cv2.putText(marked, "No. 1234", (width - 250, height - 120), cv2.FONT_HERSHEY_SIMPLEX, 1.3, 0.0, 3)
    expected = detector.detect(plain, threshold=0.2, spacing=None)
    detections = detector.detect(marked, threshold=0.2, spacing=None)
    assert hits(expected, phantom)
    assert len(detections) == len(expected)
    for detection, other in zip(detections, expected, strict=True):
        assert detection.box.iou(other.box) > 0.9


def with_dots(phantom: PhantomView, x: int, y: int, *, on: Pixels | None = None) -> Pixels:
    """The view with the specks of its cluster a second time, around a position; `on`: another picture of that size."""
    pixels = pixels_of(phantom) if on is None else on.copy()
    specks = np.zeros(pixels.shape, np.bool_)
    for mask in phantom.calcifications:
        specks[mask.frame.slices] |= mask.bitmap
    plain = pixels_of(phantom)
    box = phantom.truth[0].box
    rise = np.where(specks, plain - cv2.GaussianBlur(plain, (0, 0), 6), 0)[box.slices]
    place = Box.centred(x, y, width=box.width, height=box.height)
    pixels[place.slices] = np.clip(pixels[place.slices] + rise, 0, 1)
    return pixels


def found_around(detector: Detector, pixels: Pixels, x: int, y: int) -> bool:
    """Whether there is a detection whose centre lies within 4 mm of a position."""
    detections = detector.detect(pixels, threshold=0.05, spacing=None)
    return any(np.hypot(each.box.centre[0] - x, each.box.centre[1] - y) < 4 / 0.07 for each in detections)


def test_a_cluster_at_the_skin_line_is_found_and_the_same_dots_in_air_or_on_a_label_are_not(
    detector: Detector,
) -> None:
    phantom = view(9201)
    breast = find_breast(pixels_of(phantom))
    row = 760
    skin = (int(np.flatnonzero(breast.cells[row // CELL]).max()) + 1) * CELL
    at_the_skin = skin - 3 * CELL, row
    assert found_around(detector, with_dots(phantom, *at_the_skin), *at_the_skin)
    beside = 1046, 90
    assert breast.box.contains(Point(*beside)), "the network sees this place"
    assert not breast.holds(*beside)
    assert not found_around(detector, with_dots(phantom, *beside), *beside)
    label = pixels_of(phantom)
    cv2.rectangle(label, (950, 20), (1140, 160), 0.4, -1)  # type: ignore[call-overload]  # numpy arrays are images
    assert not found_around(detector, with_dots(phantom, *beside, on=label), *beside)


@pytest.mark.parametrize("shape", [(1, 1), (10, 10), (1, 500), (512, 384)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("pitch", [None, 0.2])
def test_black_constant_and_tiny_images_hold_nothing(
    detector: Detector, shape: tuple[int, int], level: float, pitch: float | None
) -> None:
    spacing = Spacing(pitch, pitch, "given") if pitch else None
    assert detector.detect(np.full(shape, level, np.float32), threshold=0.2, spacing=spacing) == []


@pytest.mark.slow
def test_tiles_and_one_pass_over_the_breast_find_the_same_clusters() -> None:
    """Not to the pixel: the channel attention pools over all that it is shown."""
    detectors = []
    for mode in ("tiles", "whole"):
        network, _ = load_network(STARTER)
        network.spec = replace(network.spec, tile=640)
        detectors.append(Detector(network, mode=mode))  # type: ignore[arg-type]
    num_pairs = 0
    for seed in SEEDS[:4]:
        phantom = view(seed)
        tiles, whole = (
            [
                d
                for d in detector.detect(pixels_of(phantom), threshold=0.3, spacing=None)
                if hits([d], phantom)
            ]
            for detector in detectors
        )
        assert bool(tiles) == bool(whole)
        if tiles:
            assert tiles[0].box.iou(whole[0].box) > 0.6
            num_pairs += 1
    assert num_pairs >= 2
