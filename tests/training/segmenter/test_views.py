from dataclasses import replace

import numpy as np
import pytest

from mammo.geometry import Size
from tests.training.segmenter_cases import region
from training.segmenter.recipes import segmenter_smoke
from training.segmenter.views import JITTER, draw_view, jittered, turned

CONFIG = segmenter_smoke().config


def in_input(view, rows, columns):
    """Native rows and columns of the truth as input coordinates."""
    scale = view.input_size / len(view.truth)
    return rows * scale, columns * scale


def test_a_jittered_box_is_off_by_at_most_a_tenth(tmp_path):
    box = region(tmp_path).box
    rng = np.random.default_rng(0)
    drawn = [jittered(box, Size(200, 200), rng) for _ in range(200)]
    assert len({b.as_tuple() for b in drawn}) > 20
    for b in drawn:
        assert abs(b.x0 - box.x0) <= JITTER * box.width + 1
        assert abs(b.y1 - box.y1) <= JITTER * box.height + 1


@pytest.fixture
def view(tmp_path):
    return draw_view(region(tmp_path), np.random.default_rng(0), config=CONFIG)


def test_a_views_truth_is_native_and_fills_its_box(tmp_path):
    roi = region(tmp_path)
    for seed in range(20):
        view = draw_view(roi, np.random.default_rng(seed), config=CONFIG)
        assert int(view.truth.sum()) == roi.mask.area  # no pixel is lost to any resampling
        x0, y0, x1, y1 = view.box
        rows, columns = in_input(view, *np.nonzero(view.truth))
        assert columns.min() == pytest.approx(x0, abs=1)
        assert columns.max() == pytest.approx(x1, abs=2)
        assert rows.min() == pytest.approx(y0, abs=1)
        assert rows.max() == pytest.approx(y1, abs=2)


def test_bright_points_lie_on_the_lesion_and_on_bright_pixels(tmp_path):
    roi = region(tmp_path)
    for seed in range(20):
        view = draw_view(roi, np.random.default_rng(seed), config=CONFIG)
        assert view.bright
        assert view.covers(np.array(view.bright, np.float32)).all()
        for x, y in view.bright:
            assert view.planes[2, int(y), int(x)] > 1


def test_the_same_crop_comes_with_and_without_its_planes(tmp_path):
    roi = region(tmp_path)
    first = draw_view(roi, np.random.default_rng(5), config=CONFIG)
    second = draw_view(roi, np.random.default_rng(5), config=CONFIG, with_planes=False)
    assert np.array_equal(first.truth, second.truth)
    assert (first.box, first.bright) == (second.box, second.bright)
    assert second.planes.size == 0


def test_at_the_calcification_level_the_truth_is_the_specks(tmp_path):
    roi = region(tmp_path)
    sizes = set()
    for seed in range(30):
        view = draw_view(roi, np.random.default_rng(seed), config=CONFIG, level="calcification")
        assert len(view.truth) < CONFIG.input_size / 2
        assert view.truth.sum() <= roi.calcifications.area
        assert view.truth.any() == view.present
        sizes.add(int(view.truth.sum()))
    assert 9 in sizes


def test_what_nobody_knows_cannot_be_drawn(tmp_path):
    bare = replace(region(tmp_path), calcifications=None)
    with pytest.raises(ValueError, match="not known"):
        draw_view(bare, np.random.default_rng(0), config=CONFIG, level="calcification")


def test_a_region_without_a_lesion_has_an_empty_truth(tmp_path):
    bare = replace(region(tmp_path), mask=None, kind="background")
    view = draw_view(bare, np.random.default_rng(0), config=CONFIG)
    assert not view.present
    assert view.bright


@pytest.mark.parametrize("quarter_turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_turning_moves_box_and_points_with_the_pixels(view, quarter_turns, mirrored):
    after = turned(view, quarter_turns=quarter_turns, mirrored=mirrored)
    x0, y0, x1, y1 = after.box
    rows, columns = in_input(after, *np.nonzero(after.truth))
    assert columns.mean() == pytest.approx((x0 + x1) / 2, abs=1)
    assert rows.mean() == pytest.approx((y0 + y1) / 2, abs=1)
    assert x0 < x1
    assert y0 < y1
    for (x, y), (u, v) in zip(view.bright, after.bright, strict=True):
        assert np.array_equal(view.planes[:, int(y), int(x)], after.planes[:, int(v), int(u)])
