from __future__ import annotations

import numpy as np
import pytest

from mammo.deidentification.burned_in import clean
from mammo.phantom import phantom_view, vendor_a, vendor_b
from tests.mammo.dicom.pictures import HEIGHT, WIDTH, breast_picture, with_text

OVER_BREAST, BESIDE = (60, 420), (460, 60)


@pytest.mark.parametrize("dense_is_high", [True, False])
def test_text_beside_the_breast_is_blanked_and_no_pixel_of_the_breast_changes(dense_is_high: bool) -> None:
    plain = breast_picture()
    written = with_text(plain, "DOE 4711", BESIDE, size=0.8)
    if not dense_is_high:
        plain, written = 4095 - plain, 4095 - written
    assert (plain != written).sum() > 300
    cleaned = clean(written, dense_is_high=dense_is_high)
    np.testing.assert_array_equal(cleaned.levels, plain)
    assert cleaned.concern is None
    assert cleaned.num_blanked == (plain != written).sum()


@pytest.mark.parametrize("value", [0, 4095])
@pytest.mark.parametrize("size", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("text", ["DOE^JANE", "1944-02-29", "R CC"])
def test_text_over_the_breast_is_left_and_reported(value: int, size: float, text: str) -> None:
    written = with_text(breast_picture(), text, OVER_BREAST, value=value, size=size)
    assert clean(written, dense_is_high=True).concern == "text"


def test_a_breast_without_text_needs_nobody() -> None:
    for seed in range(4):
        picture = breast_picture(seed=seed)
        picture[300:306, 100:106] = 4095  # a clip
        picture[340:343, 120:123] = 4095
        cleaned = clean(picture, dense_is_high=True)
        assert cleaned.concern is None
        assert cleaned.num_blanked == 0


@pytest.mark.parametrize("appearance", [vendor_a, vendor_b])
def test_calcifications_and_clipped_noise_of_a_phantom_are_no_text(appearance) -> None:  # type: ignore[no-untyped-def]
    for seed in (1, 2):
        view = phantom_view(seed, clusters=2, appearance=appearance())
        assert clean(view.stored, dense_is_high=True).concern is None


def test_a_picture_without_a_breast_needs_a_person() -> None:
    rng = np.random.default_rng(0)
    speck = np.zeros((HEIGHT, WIDTH), np.uint16)
    speck[10:40, 10:40] = rng.integers(1000, 4000, (30, 30))
    assert clean(speck, dense_is_high=True).concern == "no_breast"
    assert clean(np.full((64, 64), 5, np.uint16), dense_is_high=True).concern == "no_breast"


def test_a_picture_that_is_all_breast_is_left_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(1000, 3000, (200, 200)).astype(np.uint16)
    picture[0, 0] = 0
    cleaned = clean(picture, dense_is_high=True)
    np.testing.assert_array_equal(cleaned.levels, picture)
