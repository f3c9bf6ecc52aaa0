from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mammo.dicom import Mammogram
from mammo.geometry import Box, Spacing
from mammo.phantom import phantom_view
from training.evaluation.dog_baseline import OPERATING_POINT, DogBaseline

Pixels = npt.NDArray[np.float32]
GROUP = ((0.0, 0.0), (1.5, 0.5), (0.5, 2.0), (2.5, 2.0), (2.0, 3.5))
"""Places of five specks in a square of 4 mm, in mm."""


def breast(*, spacing: float = 0.07, seed: int = 1) -> Pixels:
    """A half disc of 30 mm radius at the left edge, with noise of the same size in mm at every spacing."""
    height, width = round(70 / spacing), round(40 / spacing)
    rows, columns = np.mgrid[:height, :width] * spacing
    inside = np.hypot(rows - 35, columns) < 30
    noise = np.random.default_rng(seed).normal(0, 0.02, (1000, 572)).astype(np.float32)
    grain = cv2.resize(noise, (width, height), interpolation=cv2.INTER_AREA)
    return np.where(inside, 0.5 + grain, 0.0).astype(np.float32)


def with_specks(pixels: Pixels, places: Any, *, spacing: float, contrast: float = 0.3) -> Pixels:
    """Add round specks of 0.4 mm at places in mm (column, row)."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]] * spacing
    out = pixels.copy()
    for x, y in places:
        out += np.float32(contrast) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 0.17**2)).astype(
            np.float32
        )
    return out.clip(0, 1)


def detect(pixels: Pixels, spacing: float) -> list[tuple[Box, float]]:
    mammogram = Mammogram(
        pixels=pixels,
        spacing=Spacing(spacing, spacing, "given"),
        laterality=None,
        view=None,
        patient=None,
        sha256="0" * 64,
        depth=12,
    )
    return [(each.box, each.score) for each in DogBaseline()(mammogram)]


@pytest.mark.parametrize("spacing", [0.05, 0.07, 0.1, 0.2])
def test_a_group_is_one_box_around_its_specks_at_every_pixel_spacing(spacing: float) -> None:
    places = [(10 + x, 30 + y) for x, y in GROUP]
    (box, score), *others = detect(with_specks(breast(spacing=spacing), places, spacing=spacing), spacing)
    assert score > OPERATING_POINT
    assert all(other < score / 2 for _, other in others)
    expected = Box.around(*(each / spacing for each in (9, 29, 13.5, 34.5)))
    assert box.iou(expected) > 0.7


def test_tissue_without_specks_is_below_the_operating_point() -> None:
    assert all(score < OPERATING_POINT for _, score in detect(breast(), 0.07))
    assert detect(np.full((400, 300), 0.5, np.float32), 0.07) == []
    assert detect(np.zeros((400, 300), np.float32), 0.07) == []


def test_two_specks_and_specks_far_apart_are_no_cluster() -> None:
    pair = [(10.0, 30.0), (12.0, 31.0)]
    apart = [(5.0, 20.0), (5.0, 35.0), (20.0, 35.0), (5.0, 50.0)]
    for places in (pair, apart):
        found = detect(with_specks(breast(), places, spacing=0.07), 0.07)
        assert all(score < OPERATING_POINT for _, score in found)


def test_a_vessel_is_no_cluster() -> None:
    pixels = breast()
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]] * 0.07
    distance = np.abs((rows - 20) - 0.8 * columns) / np.hypot(1, 0.8)
    vessel = 0.3 * np.exp(-(distance**2) / (2 * 0.17**2)) * (pixels > 0)
    found = detect((pixels + vessel.astype(np.float32)).clip(0, 1), 0.07)
    assert all(score < OPERATING_POINT for _, score in found)


def test_more_specks_and_stronger_ones_score_higher() -> None:
    def best(count: int, contrast: float) -> float:
        places = [(10 + x, 30 + y) for x, y in GROUP[:count]]
        return detect(with_specks(breast(), places, spacing=0.07, contrast=contrast), 0.07)[0][1]

    assert best(3, 0.2) < best(5, 0.2)
    assert best(4, 0.04) < best(4, 0.06)


def test_a_wide_group_is_one_box() -> None:
    places = [(5 + 3 * (number % 4), 28 + 3 * (number // 4)) for number in range(16)]
    box, _ = detect(with_specks(breast(), places, spacing=0.07), 0.07)[0]
    assert box.iou(Box.around(*(each / 0.07 for each in (4, 27, 15, 38)))) > 0.7


def test_most_clusters_of_phantoms_are_found_and_the_result_is_repeatable() -> None:
    views = [phantom_view(seed, clusters=1, width=768, height=1024) for seed in range(1, 7)]
    hits = 0
    for view in views:
        pixels = (view.stored / (2**view.bits - 1)).astype(np.float32)
        found = detect(pixels, view.spacing_mm)
        hits += any(view.truth[0].box.iou(box) > 0.1 and score > 0.4 for box, score in found)
        if view is views[0]:
            assert found == detect(pixels, view.spacing_mm)
    assert hits >= 4
