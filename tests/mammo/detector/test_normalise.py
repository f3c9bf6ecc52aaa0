from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.detector.normalise import (
    CELL,
    CONTRAST_GAIN,
    CONTRAST_ZERO,
    Breast,
    Normalisation,
    Pixels,
    Planes,
    find_breast,
    normalise,
)
from mammo.geometry import Box, Size


def phantom(*, offset: float = 0.0, gain: float = 1.0) -> Pixels:
    """640 x 480: a textured breast on the left, air on the right, a lead marker in the air."""
    rng = np.random.default_rng(5)
    pixels = np.zeros((640, 480), np.float32)
    pixels[96:560, :240] = rng.uniform(0.3, 0.6, (464, 240))
    pixels[20:52, 420:452] = 1.0
    return np.where(pixels > 0, pixels * gain + offset, offset).astype(np.float32)


def planes_of(
    pixels: Pixels, breast: Breast, *, kind: Normalisation = "grey-and-p99-contrast", finer: float = 1.0
) -> Planes:
    return normalise(pixels, breast, kind=kind, finer=finer)


def test_the_breast_is_found_and_the_marker_is_not() -> None:
    breast = find_breast(phantom())
    assert breast.box.intersection(Box(420, 20, 452, 52)) is None
    assert breast.box.intersection(Box(0, 96, 240, 560)) == Box(0, 96, 240, 560)
    assert breast.box.width <= 240 + 2 * CELL
    assert breast.coverage(Box(0, 200, 160, 400)) == 1.0
    assert breast.coverage(Box(320, 200, 480, 400)) == 0.0


@given(gain=st.floats(0.2, 1.0), offset=st.floats(0.0, 0.3))
@settings(deadline=None, max_examples=25)
def test_a_vendors_gain_and_offset_make_no_difference(gain: float, offset: float) -> None:
    plain, other = phantom(), phantom(gain=gain, offset=offset)
    ours, theirs = (planes_of(pixels, find_breast(pixels)) for pixels in (plain, other))
    inside = np.s_[:, 112:544, :224]
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=1 / 255)


def test_one_step_of_a_14_bit_detector_is_seen_by_all_planes() -> None:
    """The stock pipeline of ultralytics reads 8 bits: steps below 1/255 would be gone."""
    stored = np.random.default_rng(2).integers(5000, 9000, (640, 480))
    raised = stored.copy()
    raised[300, 200] += 1
    plain, other = (np.float32(values / np.float32(2**14 - 1)) for values in (stored, raised))
    before, after = (planes_of(pixels, find_breast(pixels))[:, 300, 200] for pixels in (plain, other))
    assert (after > before).all()
    assert (after - before).max() < 1 / 255


def test_planes_are_floats_on_more_levels_than_8_bits_hold() -> None:
    pixels = phantom()
    for plane in planes_of(pixels, find_breast(pixels)):
        assert len(np.unique(plane)) > 10_000


def test_the_breasts_percentiles_come_to_lie_where_the_docstring_says() -> None:
    pixels = phantom()
    scaled = planes_of(pixels, find_breast(pixels))
    assert scaled.dtype == np.float32
    assert scaled.shape == (3, 640, 480)
    assert scaled.min() >= 0.0
    assert scaled.max() <= 1.0
    low, high = np.percentile(scaled[0, 96:560, :240], (1, 99))
    assert high == pytest.approx(0.75, abs=0.03)
    assert low == pytest.approx(0.05, abs=0.03)


def test_a_calcification_brighter_than_tissue_stays_brighter_than_tissue() -> None:
    pixels = phantom()
    pixels[300:304, 100:104] = 0.7
    scaled = planes_of(pixels, find_breast(pixels))
    for plane in range(3):
        brightest = scaled[plane, 300:304, 100:104].max()
        assert brightest > np.percentile(scaled[plane, 96:560, :240], 99.5)


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_an_image_of_one_grey_is_all_breast_and_stays_finite(level: float) -> None:
    pixels = np.full((50, 70), level, np.float32)
    breast = find_breast(pixels)
    assert breast.box == Box(0, 0, 70, 50)
    planes = planes_of(pixels, breast)
    assert np.isfinite(planes).all()
    assert np.ptp(planes, axis=(1, 2)).max() < 1e-3


def test_contrast_planes_do_not_see_whether_the_tissue_is_dense() -> None:
    """The same speck on tissue twice as bright looks the same to them; the grey plane tells the two apart."""
    rng = np.random.default_rng(1)
    pixels = rng.normal(0.3, 0.01, (640, 640)).astype(np.float32)
    pixels[:, 320:] += 0.3
    for x in (120, 520):
        pixels[300:304, x : x + 4] += 0.08
    pixels[:, 600:] = 0  # air
    planes = planes_of(pixels, find_breast(pixels))
    dark, dense = (planes[:, 296:308, x - 4 : x + 8].max(axis=(1, 2)) * 255 for x in (120, 520))
    assert abs(dark[1] - dense[1]) < 40
    assert abs(dark[2] - dense[2]) < 40
    assert dense[0] - dark[0] > 50


def test_contrast_is_measured_in_standard_deviations_of_the_breast() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.normal(0.5, 0.02, (640, 640)).astype(np.float32)
    _, fine, smooth = planes_of(pixels, find_breast(pixels))[:, 64:-64, 64:-64]
    assert fine.mean() == pytest.approx(CONTRAST_ZERO, abs=1 / 255)
    assert fine.std() == pytest.approx(CONTRAST_GAIN, rel=0.05)
    assert smooth.std() == pytest.approx(CONTRAST_GAIN, rel=0.05)


@pytest.mark.parametrize(("height", "width"), [(1280, 960), (1277, 951)])
def test_the_planes_of_the_breasts_frame_are_those_of_the_whole_image(height: int, width: int) -> None:
    rng = np.random.default_rng(5)
    pixels = np.zeros((height, width), np.float32)
    pixels[300:900, 200:700] = rng.uniform(0.3, 0.6, (600, 500))
    breast = find_breast(pixels)
    frame = breast.frame(Size(width, height))
    assert frame.area < 0.7 * pixels.size
    part = breast.cropped(frame)
    assert part.box.shifted(frame.x0, frame.y0) == breast.box
    assert part.coverage(part.box) == breast.coverage(breast.box)
    whole, cropped = planes_of(pixels, breast), planes_of(pixels[frame.slices], part)
    np.testing.assert_array_equal(cropped[:, *part.box.slices], whole[:, *breast.box.slices])


def test_a_marker_beside_the_breast_changes_nothing() -> None:
    pixels = np.zeros((512, 640), np.float32)
    pixels[:, :360] = np.random.default_rng(0).uniform(0.3, 0.6, (512, 360))
    marked = pixels.copy()
    marked[40:120, 480:620] = 1.0
    marked[400:470, 500:600:3] = 1.0  # writing
    plain, breast = find_breast(pixels), find_breast(marked)
    assert plain.foreign is None
    assert breast.foreign is not None
    assert np.array_equal(plain.cells, breast.cells)
    assert np.array_equal(planes_of(pixels, plain), planes_of(marked, breast))
    assert marked.max() == 1.0  # the image itself stays


def test_a_marker_that_touches_the_breast_stays() -> None:
    pixels = np.zeros((512, 640), np.float32)
    pixels[:, :360] = np.random.default_rng(0).uniform(0.3, 0.6, (512, 360))
    pixels[40:120, 350:480] = 1.0
    assert find_breast(pixels).foreign is None


def heavy_tailed() -> Pixels:
    """A breast in noise with lines, as tissue has them: few pixels with a contrast far above the noise."""
    rng = np.random.default_rng(2)
    pixels = rng.normal(0.5, 0.002, (640, 640)).astype(np.float32)
    pixels[::40] += 0.05
    return pixels


def test_lines_of_tissue_do_not_fill_the_planes() -> None:
    pixels = heavy_tailed()
    breast = find_breast(pixels)
    old, new = (
        planes_of(pixels, breast, kind=kind)[1, 64:-64, 64:-64]
        for kind in ("grey-and-contrast", "grey-and-p99-contrast")
    )
    assert np.mean(old > 0.99) > 0.02  # saturated: nothing can stand out from a line
    assert np.mean(new > 0.99) == 0.0


def test_an_image_made_finer_gets_fine_noise_of_its_own() -> None:
    rng = np.random.default_rng(4)
    small = rng.normal(0.5, 0.03, (320, 320)).astype(np.float32)
    pixels = np.asarray(cv2.resize(small, (960, 960), interpolation=cv2.INTER_CUBIC), np.float32)
    breast = find_breast(pixels)
    plain, once, again = (planes_of(pixels, breast, finer=finer) for finer in (1.0, 3.0, 3.0))
    assert np.array_equal(once, again)

    def fine(planes: Planes) -> float:
        """Share of the finest structure in the contrast."""
        contrast = planes[1, 64:-64, 64:-64]
        return float((contrast - cv2.GaussianBlur(contrast, (0, 0), 1.0)).std() / contrast.std())

    assert fine(once) > 1.4 * fine(plain)
    other = pixels.copy()
    other[500, 500] += 0.01
    assert not np.array_equal(planes_of(other, breast, finer=3.0)[0, :400], once[0, :400])


def test_air_gets_no_noise() -> None:
    pixels = phantom()
    breast = find_breast(pixels)
    plain, noisy = planes_of(pixels, breast), planes_of(pixels, breast, finer=2.9)
    assert np.array_equal(plain[0, :, 320:400], noisy[0, :, 320:400])


def test_weights_of_the_older_normalisation_get_no_noise() -> None:
    pixels = phantom()
    breast = find_breast(pixels)
    plain, finer = (planes_of(pixels, breast, kind="grey-and-contrast", finer=each) for each in (1.0, 2.9))
    assert np.array_equal(plain, finer)


@pytest.mark.parametrize("finer", [1.0, 2.9])
def test_contrast_is_divided_by_its_99th_percentile_over_that_of_normal_noise(finer: float) -> None:
    pixels = heavy_tailed()
    _, fine, smooth = planes_of(pixels, find_breast(pixels), finer=finer)
    for plane in (fine, smooth):
        deviations = (plane[::4, ::4] - CONTRAST_ZERO) / CONTRAST_GAIN
        assert np.percentile(np.abs(deviations - np.median(deviations)), 99) == pytest.approx(2.576, abs=0.01)


def test_the_added_noise_is_one_robust_deviation_of_the_contrast_and_its_neighbours_weigh_42_per_cent() -> (
    None
):
    rng = np.random.default_rng(4)
    small = rng.normal(0.5, 0.03, (320, 320)).astype(np.float32)
    pixels = np.asarray(cv2.resize(small, (960, 960), interpolation=cv2.INTER_CUBIC), np.float32)
    breast = find_breast(pixels)
    plain, noisy = (planes_of(pixels, breast, finer=finer)[0] for finer in (1.0, 3.0))
    inner = plain[64:-64, 64:-64]
    noise = (noisy - plain)[64:-64, 64:-64]
    unclipped = (inner > 0.3) & (inner < 0.6)
    contrast = (plain - cv2.GaussianBlur(plain, (0, 0), 6))[64:-64, 64:-64]
    robust = 1.4826 * np.median(np.abs(contrast - np.median(contrast)))
    assert noise[unclipped].std() == pytest.approx(robust, rel=0.03)
    variance = 1 + 2 * 0.42**2
    for axis in (0, 1):
        for distance, expected in ((1, 2 * 0.42 / variance), (2, 0.42**2 / variance), (3, 0.0)):
            one, other = np.delete(noise, range(distance), axis), np.delete(noise, range(-distance, 0), axis)
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(expected, abs=0.02)


def test_a_position_lies_on_the_breast_or_beside_it() -> None:
    breast = find_breast(phantom())
    assert breast.holds(100.5, 300.5)
    assert not breast.holds(436, 36)  # the marker
    assert not breast.holds(400, 300)
    assert not breast.holds(479.9, 639.9)
