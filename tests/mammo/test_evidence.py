"""What a reader is told about a finding is measured on its pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mammo.evidence import MAX_SPECKS, evidence, in_words, num_calcifications
from mammo.geometry import Spacing
from mammo.masks import Mask

SPACING = Spacing(0.07, 0.07, "imager")
MASK = Mask(np.ones((70, 100), np.bool_), 150, 160)


def tissue(specks: list[tuple[int, int]]) -> np.ndarray:
    """Noise with bright discs of 5 pixels."""
    noise = np.random.default_rng(1).normal(0.4, 0.01, (400, 400)).astype(np.float32)
    pixels = cv2.GaussianBlur(noise, (0, 0), 1.0)
    for x, y in specks:
        cv2.circle(pixels, (x, y), 2, 0.7, cv2.FILLED)
    return pixels


def test_the_specks_inside_the_mask_are_counted_and_those_outside_are_not() -> None:
    inside = [(160, 170), (180, 190), (200, 210), (230, 180), (240, 220)]
    measured = evidence(tissue([*inside, (120, 170), (260, 200)]), MASK, spacing=SPACING)
    assert measured.num_specks == len(inside)
    assert measured.contrast is not None
    assert measured.contrast > 10
    assert measured.text().startswith("7.0 x 4.9 mm, about 5 specks, contrast ")


def test_fainter_specks_have_less_contrast() -> None:
    strong = tissue([(160, 170), (180, 190)])
    faint = tissue([]) + 0.3 * (strong - tissue([]))
    contrasts = [evidence(each, MASK, spacing=SPACING).contrast for each in (strong, faint)]
    assert contrasts[0] is not None
    assert contrasts[1] is not None
    assert contrasts[0] > 2 * contrasts[1]


def test_without_a_spacing_nothing_is_stated_in_millimetres() -> None:
    text = evidence(tissue([(160, 170)]), MASK, spacing=None).text()
    assert text.startswith("100 x 70 pixels, ")
    assert "mm" not in text


def test_a_pixel_that_is_not_square_is_measured_by_its_sides() -> None:
    measured = evidence(tissue([]), MASK, spacing=Spacing(0.1, 0.05, "imager"))
    assert (measured.width, measured.height) == pytest.approx((5.0, 7.0))


def test_a_flat_region_has_no_speck() -> None:
    measured = evidence(np.full((400, 400), 0.4, np.float32), MASK, spacing=SPACING)
    assert (measured.num_specks, measured.contrast) == (0, None)
    assert "no speck stands out" in measured.text()


@pytest.mark.parametrize(
    ("score", "word"), [(0.2, "possible"), (0.32, "possible"), (0.34, "likely"), (1.0, "likely")]
)
def test_a_finding_is_likely_from_twice_the_odds_of_the_operating_point(score: float, word: str) -> None:
    assert in_words(score, threshold=0.2) == word


def test_a_number_of_calcifications_is_stated_where_it_was_counted() -> None:
    many = tissue([(x, y) for x in range(152, 248, 9) for y in range(167, 233, 9)])
    spacing = Spacing(0.035, 0.035, "imager")
    assert num_calcifications(tissue([(160, 170), (180, 190)]), MASK, spacing=SPACING) == 2
    assert num_calcifications(tissue([]), None, spacing=SPACING) is None
    assert num_calcifications(np.full((400, 400), 0.4, np.float32), MASK, spacing=SPACING) is None
    counted = evidence(many, MASK, spacing=spacing).num_specks
    assert num_calcifications(many, MASK, spacing=spacing) == (counted if counted < MAX_SPECKS else None)
