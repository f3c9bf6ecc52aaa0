from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.geometry import Box, Point, Size
from mammo.segmenter.roi import dilated, roi_around, roi_input
from tests.mammo.segmenter.networks import SMALL

CONFIG = replace(SMALL, input_size=128)
SIZE = Size(600, 800)


def test_a_small_box_is_seen_at_native_resolution_with_its_surroundings():
    roi = roi_around(Box(300, 300, 330, 320), SIZE, config=CONFIG)
    assert (roi.crop.width, roi.crop.height, roi.scale) == (128, 128, 1.0)
    assert roi.crop.centre == (315, 310)


def test_a_large_box_is_seen_whole_and_resized():
    roi = roi_around(Box(200, 300, 400, 350), SIZE, config=CONFIG)
    assert roi.crop.width == roi.side == 400
    assert roi.scale == pytest.approx(128 / 400)


@given(st.integers(0, 560), st.integers(0, 760), st.integers(1, 600), st.integers(1, 800))
def test_the_crop_lies_in_the_image_and_holds_the_box(x, y, width, height):
    box = Box(x, y, x + width, y + height).within(SIZE)
    roi = roi_around(box, SIZE, config=CONFIG)
    assert roi.crop.within(SIZE) == roi.crop
    assert roi.crop.intersection(box) == box
    assert roi.scale <= 1


def test_an_image_smaller_than_the_input_is_padded_not_magnified():
    roi = roi_around(Box(2, 2, 20, 20), Size(40, 30), config=CONFIG)
    planes = roi_input(np.full((30, 40), 0.5, np.float32), roi, channels="grey")
    assert roi.scale == 1
    assert planes.shape == (3, 128, 128)
    assert not planes[:, 30:].any()
    assert not planes[:, :, 40:].any()


def test_a_box_around_everything_is_not_seen_smaller_than_the_image():
    roi = roi_around(SIZE.box, SIZE, config=CONFIG)
    assert (roi.crop, roi.side) == (SIZE.box, 800)


def test_a_point_maps_to_the_middle_of_its_pixel():
    roi = roi_around(Box(300, 300, 330, 320), SIZE, config=CONFIG)
    assert roi.point_to_input(Point(roi.crop.x0, roi.crop.y0 + 3)) == (0.5, 3.5)


@pytest.mark.parametrize("channels", ["grey", "contrast"])
def test_sixteen_bit_detail_reaches_the_network(channels):
    """A difference of 1/4000 inside a narrow window: 8 bit would lose it."""
    noise = np.random.default_rng(0).normal(0, 1e-4, (200, 200))
    pixels = (0.5 + noise).astype(np.float32)
    raised = pixels.copy()
    raised[100:103, 100:103] += 1 / 4000
    roi = roi_around(Box(90, 90, 110, 110), Size(200, 200), config=CONFIG)
    at = (slice(None), 101 - roi.crop.y0, 101 - roi.crop.x0)
    difference = roi_input(raised, roi, channels=channels)[at] - roi_input(pixels, roi, channels=channels)[at]
    assert difference.max() > 0.3


@pytest.mark.parametrize("channels", ["grey", "contrast"])
def test_a_gain_of_the_detector_changes_nothing(channels):
    pixels = np.random.default_rng(0).uniform(0.2, 0.4, (200, 200)).astype(np.float32)
    roi = roi_around(Box(90, 90, 110, 110), Size(200, 200), config=CONFIG)
    before = roi_input(pixels, roi, channels=channels)
    np.testing.assert_allclose(roi_input(pixels * 2, roi, channels=channels), before, atol=2e-3)


@pytest.mark.parametrize("channels", ["grey", "contrast"])
def test_air_alone_gives_finite_numbers(channels):
    roi = roi_around(Box(90, 90, 110, 110), Size(200, 200), config=CONFIG)
    assert np.isfinite(roi_input(np.zeros((200, 200), np.float32), roi, channels=channels)).all()


def test_air_beside_the_breast_does_not_change_how_tissue_looks():
    pixels = np.random.default_rng(0).normal(0.4, 0.01, (200, 200)).astype(np.float32)
    roi = roi_around(Box(60, 60, 120, 120), Size(200, 200), config=CONFIG)
    inside = roi_input(pixels, roi, channels="contrast")
    pixels[:, 80:] = 0
    beside = roi_input(pixels, roi, channels="contrast")
    far = slice(0, 80 - roi.crop.x0 - 40)
    assert far.stop > 5
    for plane in (1, 2):
        assert beside[plane, :, far].std() == pytest.approx(inside[plane, :, far].std(), rel=0.5)


def test_a_box_is_dilated_by_a_tenth_of_each_side():
    assert dilated(Box(100, 100, 200, 140)) == Box(90, 96, 210, 144)
