"""A finding becomes 35 numbers that mean lengths and shapes in mm, whatever the spacing; without these, none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mammo.dicom import Mammogram
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Spacing
from mammo.masks import Mask
from mammo.words.features import NUM_FEATURES, features, specks_of

ELONGATION, LENGTH, AREA, SOLIDITY, DIRECTION, NUM_SPECKS = range(6)


def mammogram(*specks: tuple[int, int], mm: float | None = 0.1, size: int = 200) -> Mammogram:
    pixels = np.full((size, size), 0.3, np.float32)
    pixels += np.random.default_rng(1).normal(0, 0.004, pixels.shape).astype(np.float32)
    for x, y in specks:
        pixels[y : y + 2, x : x + 2] = 0.7
    return Mammogram(
        pixels=pixels,
        spacing=mm and Spacing(mm, mm, "given"),
        laterality="L",
        view="CC",
        patient="p",
        sha256="ab" * 32,
        depth=12,
    )


def finding(width: int, height: int, *, at: tuple[int, int] = (60, 60)) -> Finding:
    mask = Mask(np.ones((height, width), bool), *at)
    return Finding(label=CLUSTER, score=0.75, box=mask.frame, mask=mask)


CLOUD = ((70, 70), (85, 72), (72, 90), (95, 95), (80, 82))


def numbers(image: Mammogram, described: Finding) -> Any:
    found = features(image, described)
    assert found is not None
    assert found.shape == (NUM_FEATURES,)
    assert np.isfinite(found).all()
    return found


def test_a_long_outline_is_more_elongated_than_a_round_one_in_the_direction_that_it_has() -> None:
    image = mammogram(*CLOUD)
    square, lying, standing = (numbers(image, finding(*each)) for each in ((40, 40), (80, 10), (10, 80)))
    assert square[ELONGATION] == pytest.approx(0, abs=1e-6)
    assert lying[ELONGATION] == pytest.approx(np.log(8), rel=0.02)
    assert (lying[DIRECTION], standing[DIRECTION]) == pytest.approx((1, 0), abs=1e-6)
    assert square[AREA] == pytest.approx(np.log(16))


def test_lengths_are_in_mm() -> None:
    fine, coarse = (numbers(mammogram(*CLOUD, mm=mm), finding(40, 40)) for mm in (0.1, 0.2))
    assert coarse[LENGTH] - fine[LENGTH] == pytest.approx(np.log(2))


def test_the_specks_inside_the_outline_count() -> None:
    image = mammogram(*CLOUD, (150, 150))
    assert len(specks_of(image, finding(45, 45).mask)) == len(CLOUD)  # type: ignore[arg-type]
    assert numbers(image, finding(45, 45))[NUM_SPECKS] == pytest.approx(np.log1p(len(CLOUD)))


@pytest.mark.parametrize("specks", [(), ((70, 70),), tuple((65 + 8 * each, 80) for each in range(6))])
def test_few_specks_and_specks_in_a_line_have_numbers_too(specks: tuple[tuple[int, int], ...]) -> None:
    numbers(mammogram(*specks), finding(60, 40))


def test_an_outline_at_the_border_and_one_of_three_pixels_have_numbers() -> None:
    image = mammogram(*CLOUD)
    numbers(image, finding(30, 30, at=(0, 0)))
    numbers(image, finding(30, 30, at=(170, 170)))
    numbers(image, finding(3, 1, at=(70, 70)))


def test_without_an_outline_or_a_spacing_there_are_none() -> None:
    image = mammogram(*CLOUD)
    assert features(image, replace(finding(40, 40), mask=None)) is None
    assert features(mammogram(*CLOUD, mm=None), finding(40, 40)) is None
    assert features(image, finding(2, 1)) is None
