import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mammo.errors import InvalidPrompt
from mammo.geometry import Box, Point, Size
from mammo.prompts import MAX_POINTS, PROMPT_RULES, SKIN_MM, brightest_points, robust_points

WHOLE = Box(0, 0, 96, 96)
PIXELS = hnp.arrays(np.float32, (12, 17), elements=st.floats(0, 1, width=32))


def tissue(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.4, 0.01, (96, 96)).astype(np.float32)


def add_speck(pixels: np.ndarray, x: int, y: int, height: float, *, sigma: float = 1.5) -> None:
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    pixels += height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)).astype(np.float32)


def arg_max_by_the_papers_loop(pixels: np.ndarray, box: Box) -> Point:
    best, where = -np.inf, None
    for y in range(box.y0, box.y1):
        for x in range(box.x0, box.x1):
            if pixels[y, x] > best:
                best, where = pixels[y, x], Point(x, y)
    assert where is not None
    return where


@given(PIXELS, st.integers(0, 8), st.integers(0, 6), st.integers(1, 9), st.integers(1, 6))
def test_one_brightest_point_is_the_papers_arg_max(pixels, x, y, width, height):
    box = Box(x, y, x + width, y + height)
    assert brightest_points(pixels, box, count=1, spacing=1, mm_per_pixel=0.07) == [
        arg_max_by_the_papers_loop(pixels, box)
    ]


@pytest.mark.parametrize("rule", PROMPT_RULES.values(), ids=PROMPT_RULES.keys())
@given(pixels=PIXELS, count=st.integers(1, 6), spacing=st.integers(1, 8))
def test_points_lie_in_the_box_and_keep_their_distance(rule, pixels, count, spacing):
    box = Box(2, 3, 14, 11)
    points = rule(pixels, box, count=count, spacing=spacing, mm_per_pixel=0.07)
    assert len(points) <= count
    assert all(box.contains(point) for point in points)
    for i, a in enumerate(points):
        assert all((a.x - b.x) ** 2 + (a.y - b.y) ** 2 >= spacing**2 for b in points[:i])


def test_a_neighbour_of_a_chosen_point_is_not_a_second_prompt():
    pixels = np.zeros((64, 64), np.float32)
    pixels[20, 20], pixels[20, 21], pixels[50, 50] = 1.0, 0.9, 0.8
    assert brightest_points(pixels, Size(64, 64).box, count=2, spacing=4, mm_per_pixel=0.07) == [
        Point(20, 20),
        Point(50, 50),
    ]


def test_the_robust_rule_passes_over_a_hot_pixel_that_the_papers_rule_takes():
    pixels = tissue()
    add_speck(pixels, 60, 40, 0.3)
    pixels[10, 10] = 1.0
    assert brightest_points(pixels, WHOLE, count=1, spacing=1, mm_per_pixel=0.07) == [Point(10, 10)]
    assert robust_points(pixels, WHOLE, count=1, spacing=4, mm_per_pixel=0.07) == [Point(60, 40)]


def test_the_robust_rule_finds_specks_on_dark_tissue_beside_bright_tissue():
    pixels = tissue()
    pixels[:, :40] += 0.5
    pixels[:, 40:48] += np.linspace(0.5, 0, 8, dtype=np.float32)
    for x, y in ((70, 20), (80, 50), (64, 70)):
        add_speck(pixels, x, y, 0.2)
    points = robust_points(pixels, WHOLE, count=3, spacing=6, mm_per_pixel=0.07)
    assert sorted((round(p.x, -1), round(p.y, -1)) for p in points) == [(60, 70), (70, 20), (80, 50)]
    assert all(
        point.x < 48 for point in brightest_points(pixels, WHOLE, count=3, spacing=6, mm_per_pixel=0.07)
    )


def test_a_spot_larger_than_a_calcification_does_not_attract_the_robust_rule():
    pixels = tissue()
    add_speck(pixels, 30, 30, 0.5, sigma=14)
    add_speck(pixels, 80, 80, 0.15)
    assert robust_points(pixels, WHOLE, count=1, spacing=4, mm_per_pixel=0.07) == [Point(80, 80)]


def test_a_flat_box_gives_no_robust_point():
    assert (
        robust_points(
            np.full((40, 40), 0.5, np.float32), Box(5, 5, 30, 30), count=3, spacing=4, mm_per_pixel=0.07
        )
        == []
    )


def test_a_speck_in_the_corner_of_the_image_is_found():
    pixels = tissue()
    add_speck(pixels, 2, 93, 0.3)
    (point,) = robust_points(pixels, Box(0, 80, 20, 120), count=1, spacing=4, mm_per_pixel=0.07)
    assert abs(point.x - 2) <= 1
    assert abs(point.y - 93) <= 1


@pytest.mark.parametrize("rule", PROMPT_RULES.values(), ids=PROMPT_RULES.keys())
def test_a_box_outside_the_image_is_refused(rule):
    with pytest.raises(InvalidPrompt, match="outside"):
        rule(tissue(), Box(200, 200, 220, 220), count=1, spacing=1, mm_per_pixel=0.07)


@pytest.mark.parametrize("rule", PROMPT_RULES.values(), ids=PROMPT_RULES.keys())
@pytest.mark.parametrize(("count", "spacing"), [(0, 1), (1, 0)])
def test_count_and_spacing_start_at_one(rule, count, spacing):
    with pytest.raises(ValueError, match="at least 1"):
        rule(tissue(), WHOLE, count=count, spacing=spacing, mm_per_pixel=0.07)


@pytest.mark.parametrize("rule", PROMPT_RULES.values(), ids=PROMPT_RULES.keys())
def test_ten_thousand_points_are_refused(rule):
    with pytest.raises(InvalidPrompt, match=f"at most {MAX_POINTS} points, got 10000"):
        rule(tissue(), WHOLE, count=10_000, spacing=1, mm_per_pixel=0.07)


@pytest.mark.parametrize("rule", PROMPT_RULES.values(), ids=PROMPT_RULES.keys())
def test_pixels_that_are_no_numbers_are_never_chosen(rule):
    pixels = tissue()
    add_speck(pixels, 60, 40, 0.3)
    pixels[10:14, 10:14] = np.nan
    pixels[80, 80] = np.inf
    assert rule(pixels, WHOLE, count=1, spacing=4, mm_per_pixel=0.07) == [Point(60, 40)]
    assert rule(np.full((96, 96), np.nan, np.float32), WHOLE, count=3, spacing=4, mm_per_pixel=0.07) == []


def test_the_skin_line_gives_no_robust_point():
    """A bright rim beside the air, with pores on it, and a fainter speck inside the breast."""
    pixels = tissue()
    pixels[:, :30] = 0
    pixels[:, 30:38] += 0.2
    for y in range(5, 96, 12):
        add_speck(pixels, 33, y, 0.3)
    pixels[:, :30] = 0
    add_speck(pixels, 75, 50, 0.15)
    assert robust_points(pixels, WHOLE, count=3, spacing=6, mm_per_pixel=0.07) == [Point(75, 50)]
    closest = min(
        p.x for p in robust_points(pixels, Box(0, 0, 60, 96), count=1, spacing=6, mm_per_pixel=0.07)
    )
    assert closest >= 30 + SKIN_MM / 0.07


def test_a_marker_gives_no_robust_point():
    """The strokes of a letter are as narrow as a calcification, but long, flat and brighter than all else."""
    pixels = tissue()
    pixels[20:60, 20:24] = pixels[56:60, 20:45] = 1.0
    add_speck(pixels, 75, 30, 0.15)
    assert robust_points(pixels, WHOLE, count=3, spacing=6, mm_per_pixel=0.07) == [Point(75, 30)]


def test_a_saturated_calcification_is_no_marker():
    pixels = tissue()
    add_speck(pixels, 40, 40, 0.9, sigma=2.5)
    pixels = np.minimum(pixels, 1.0)
    (point,) = robust_points(pixels, WHOLE, count=1, spacing=4, mm_per_pixel=0.07)
    assert np.hypot(point.x - 40, point.y - 40) <= 2


def test_a_faint_speck_on_bright_even_tissue_is_found():
    pixels = np.full((96, 96), 0.9, np.float32)
    add_speck(pixels, 50, 30, 0.01)
    assert robust_points(pixels, WHOLE, count=1, spacing=4, mm_per_pixel=0.07) == [Point(50, 30)]


@pytest.mark.parametrize("mm", [0.05, 0.07, 0.1])
def test_what_is_a_calcification_is_decided_in_mm(mm):
    """A bright disc of 0.6 mm gives the point, a brighter one of 1.6 mm does not, at every spacing."""
    pixels = np.full((160, 160), 0.4, np.float32)
    y, x = np.mgrid[:160, :160]
    pixels[np.hypot(y - 40, x - 40) * mm <= 0.8] += 0.2
    pixels[np.hypot(y - 110, x - 110) * mm <= 0.3] += 0.1
    (point,) = robust_points(pixels, Size(160, 160).box, count=1, mm_per_pixel=mm, spacing=4)
    assert np.hypot(point.x - 110, point.y - 110) * mm <= 0.3
