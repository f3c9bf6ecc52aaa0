from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.errors import UnreadableImage
from mammo.geometry import Box, Point, Size, Spacing
from mammo.segmenter.planes import odd, roi_input
from mammo.segmenter.roi import LOGIT_STRIDE, OVERLAP, dilated, level_of, roi_around, tile_rois
from tests.mammo.segmenter.networks import SMALL

CONFIG = replace(SMALL, input_size=128)
SIZE = Size(600, 800)


def test_a_small_box_is_seen_at_native_resolution_with_its_surroundings():
    roi = roi_around(Box(300, 300, 330, 320), SIZE, config=CONFIG, spacing=None)
    assert (roi.crop.width, roi.crop.height, roi.scale) == (128, 128, 1.0)
    assert abs(roi.crop.centre[0] - 315) <= 128 / 32
    assert abs(roi.crop.centre[1] - 310) <= 128 / 32


def test_a_large_box_is_seen_whole_and_resized():
    roi = roi_around(Box(200, 300, 400, 350), SIZE, config=CONFIG, spacing=None)
    assert roi.crop.width == roi.side == 400
    assert roi.scale == pytest.approx(128 / 400)


@given(st.integers(0, 560), st.integers(0, 760), st.integers(1, 600), st.integers(1, 800))
def test_the_crop_lies_in_the_image_and_holds_the_box(x, y, width, height):
    box = Box(x, y, x + width, y + height).within(SIZE)
    roi = roi_around(box, SIZE, config=CONFIG, spacing=None)
    assert roi.crop.within(SIZE) == roi.crop
    assert roi.crop.intersection(box) == box
    assert roi.scale <= 1


def test_an_image_smaller_than_the_input_is_padded_not_magnified():
    roi = roi_around(Box(2, 2, 20, 20), Size(40, 30), config=CONFIG, spacing=None)
    planes = roi_input(np.full((30, 40), 0.5, np.float32), roi, channels="grey")
    assert roi.scale == 1
    assert planes.shape == (3, 128, 128)
    assert not planes[:, 30:].any()
    assert not planes[:, :, 40:].any()


def test_a_box_around_everything_is_not_seen_smaller_than_the_image():
    roi = roi_around(SIZE.box, SIZE, config=CONFIG, spacing=None)
    assert (roi.crop, roi.side) == (SIZE.box, 800)


def test_a_point_maps_to_the_middle_of_its_pixel():
    roi = roi_around(Box(300, 300, 330, 320), SIZE, config=CONFIG, spacing=None)
    assert roi.point_to_input(Point(roi.crop.x0, roi.crop.y0 + 3)) == (0.5, 3.5)


@given(st.integers(0, 590), st.integers(0, 790), st.integers(1, 64), st.integers(1, 64))
def test_a_cluster_crop_is_twice_its_box_at_four_pixels_per_logit(x, y, width, height):
    box = Box(x, y, x + width, y + height).within(SIZE)
    roi = roi_around(box, SIZE, config=CONFIG, spacing=None)
    assert roi.pixels_per_logit == 4
    assert roi.crop.width >= 2 * box.width
    assert roi.crop.height >= 2 * box.height


@pytest.mark.parametrize("input_size", [64, 128, 256, 512, 1024])
def test_the_levels_show_the_same_detail_whatever_the_networks_input(input_size):
    config, size = replace(SMALL, input_size=input_size), Size(4000, 4000)
    box = Box(2000, 2000, 2020, 2020)
    assert roi_around(box, size, config=config, spacing=None).pixels_per_logit == 4
    fine = roi_around(box, size, config=config, level="calcification", spacing=None)
    assert fine.pixels_per_logit == 1
    assert fine.crop.width == input_size // LOGIT_STRIDE


def test_prompts_a_little_apart_share_a_region():
    first = roi_around(Box(305, 302, 335, 322), SIZE, config=CONFIG, spacing=None)
    assert roi_around(Box(307, 301, 336, 322), SIZE, config=CONFIG, spacing=None) == first
    assert roi_around(Box(340, 300, 370, 320), SIZE, config=CONFIG, spacing=None) != first


def test_training_takes_crops_anywhere():
    middles = {
        roi_around(Box(x, 300, x + 30, 320), SIZE, config=CONFIG, snap=False, spacing=None).crop.centre
        for x in range(300, 308)
    }
    assert len(middles) == 8


def test_a_box_too_narrow_for_the_cluster_level_is_a_calcifications():
    sizes = [(7, 7), (14, 5), (8, 8), (20, 5)]
    levels = [level_of(Box(10, 10, 10 + width, 10 + height), config=CONFIG) for width, height in sizes]
    assert levels == ["calcification", "calcification", "cluster", "cluster"]


@given(st.integers(0, 590), st.integers(0, 790), st.integers(1, 300), st.integers(1, 300))
def test_tiles_cover_the_dilated_box_and_overlap(x, y, width, height):
    box = Box(x, y, x + width, y + height).within(SIZE)
    tiles = tile_rois(box, SIZE, config=CONFIG, spacing=None)
    covered = np.zeros((SIZE.height, SIZE.width), bool)
    for tile in tiles:
        assert tile.crop.within(SIZE) == tile.crop
        assert tile.pixels_per_logit == 1
        covered[tile.crop.slices] = True
    assert covered[dilated(box).within(SIZE).slices].all()
    columns = sorted({tile.crop.x0 for tile in tiles})
    rows = sorted({tile.crop.y0 for tile in tiles})
    assert len(tiles) == len(rows) * len(columns)
    for a, b in [*pairwise(columns), *pairwise(rows)]:
        assert b - a <= (1 - OVERLAP) * 32


def test_overlapping_clusters_share_tiles():
    a = {tile.crop for tile in tile_rois(Box(200, 200, 320, 320), SIZE, config=CONFIG, spacing=None)}
    b = {tile.crop for tile in tile_rois(Box(210, 205, 330, 325), SIZE, config=CONFIG, spacing=None)}
    assert len(a & b) >= 9


def test_one_calcification_needs_one_tile():
    (tile,) = tile_rois(Box(301, 303, 309, 312), SIZE, config=CONFIG, spacing=None)
    assert tile.crop.width == tile.crop.height == 32


def test_a_magnified_speck_lands_where_its_frame_says():
    pixels = np.full((200, 200), 0.3, np.float32)
    pixels[101:104, 98:101] = 0.9
    roi = roi_around(
        Box(95, 95, 105, 105), Size(200, 200), config=CONFIG, level="calcification", spacing=None
    )
    x, y = roi.point_to_input(Point(99, 102))
    for plane in roi_input(pixels, roi, channels="grey"):
        rows, columns = np.nonzero(plane > plane.max() - 0.1)
        assert rows.mean() + 0.5 == pytest.approx(y, abs=0.6)
        assert columns.mean() + 0.5 == pytest.approx(x, abs=0.6)


@pytest.mark.parametrize("mm", [0.05, 0.07, 0.1])
def test_a_speck_is_as_large_in_mm_whatever_the_pixel_spacing(mm):
    """A bright disc of 1.4 mm is no speck, one of 0.5 mm is, at every spacing."""
    heights = []
    for diameter in (0.5, 1.4):
        y, x = np.mgrid[:200, :200] - 100
        pixels = np.random.default_rng(0).normal(0.3, 0.003, (200, 200)).astype(np.float32)
        pixels[np.hypot(y, x) * mm <= diameter / 2] += 0.1
        roi = roi_around(
            Box(95, 95, 105, 105), Size(200, 200), config=CONFIG, spacing=Spacing(mm, mm, "imager")
        )
        specks = roi_input(pixels, roi, channels="contrast")[2]
        heights.append(specks[100 - roi.crop.y0, 100 - roi.crop.x0])
    assert heights[0] == pytest.approx(3)
    assert heights[1] < 1


def test_a_filter_has_an_odd_and_bounded_number_of_pixels():
    assert [odd(d) for d in (0.1, 7.5, 10.5, 15, 1e6)] == [3, 7, 11, 15, 129]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused_and_counted(value):
    pixels = np.full((200, 200), 0.3, np.float32)
    roi = roi_around(Box(95, 95, 105, 105), Size(200, 200), config=CONFIG, spacing=None)
    pixels[0, 0] = value
    assert np.isfinite(roi_input(pixels, roi, channels="grey")).all()
    pixels[100, 100:102] = value
    with pytest.raises(UnreadableImage, match="2 of the 16384 pixels") as caught:
        roi_input(pixels, roi, channels="grey")
    assert caught.value.code == "not_finite"


@pytest.mark.parametrize("channels", ["grey", "contrast"])
def test_sixteen_bit_detail_reaches_the_network(channels):
    """A difference of 1/4000 inside a narrow window: 8 bit would lose it."""
    noise = np.random.default_rng(0).normal(0, 1e-4, (200, 200))
    pixels = (0.5 + noise).astype(np.float32)
    raised = pixels.copy()
    raised[100:103, 100:103] += 1 / 4000
    roi = roi_around(Box(90, 90, 110, 110), Size(200, 200), config=CONFIG, spacing=None)
    at = (slice(None), 101 - roi.crop.y0, 101 - roi.crop.x0)
    difference = roi_input(raised, roi, channels=channels)[at] - roi_input(pixels, roi, channels=channels)[at]
    assert difference.max() > 0.3


@pytest.mark.parametrize("channels", ["grey", "contrast"])
def test_a_gain_of_the_detector_changes_nothing(channels):
    pixels = np.random.default_rng(0).uniform(0.2, 0.4, (200, 200)).astype(np.float32)
    roi = roi_around(Box(90, 90, 110, 110), Size(200, 200), config=CONFIG, spacing=None)
    before = roi_input(pixels, roi, channels=channels)
    np.testing.assert_allclose(roi_input(pixels * 2, roi, channels=channels), before, atol=2e-3)


@pytest.mark.parametrize("channels", ["grey", "contrast"])
def test_air_alone_gives_finite_numbers(channels):
    roi = roi_around(Box(90, 90, 110, 110), Size(200, 200), config=CONFIG, spacing=None)
    assert np.isfinite(roi_input(np.zeros((200, 200), np.float32), roi, channels=channels)).all()


def test_air_beside_the_breast_does_not_change_how_tissue_looks():
    pixels = np.random.default_rng(0).normal(0.4, 0.01, (200, 200)).astype(np.float32)
    roi = roi_around(Box(60, 60, 120, 120), Size(200, 200), config=CONFIG, spacing=None)
    inside = roi_input(pixels, roi, channels="contrast")
    pixels[:, 80:] = 0
    beside = roi_input(pixels, roi, channels="contrast")
    far = slice(0, 80 - roi.crop.x0 - 40)
    assert far.stop > 5
    for plane in (1, 2):
        assert beside[plane, :, far].std() == pytest.approx(inside[plane, :, far].std(), rel=0.5)


def test_a_box_is_dilated_by_a_tenth_of_each_side():
    assert dilated(Box(100, 100, 200, 140)) == Box(90, 96, 210, 144)
