import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.geometry import Size
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from tests.training.segmenter_cases import case, mammogram, region
from training.segmenter_recipes import segmenter_smoke
from training.segmenter_rois import JITTER, TOKENS, cut_rois, draw_prompt, draw_view, jittered, turned

CONFIG = segmenter_smoke().config


def test_a_region_holds_the_pixels_and_the_mask_of_its_cluster(tmp_path):
    (roi,) = cut_rois([case(1)], tmp_path, config=CONFIG)
    whole = mammogram(1).pixels
    (truth,) = case(1).truth
    assert truth.mask is not None
    dx, dy = truth.mask.x0 - roi.mask.x0, truth.mask.y0 - roi.mask.y0
    height, width = roi.pixels().shape
    assert np.array_equal(roi.pixels(), whole[dy : dy + height, dx : dx + width])
    assert roi.mask.box == roi.box
    assert width > 2 * roi.box.width


def test_only_findings_with_a_mask_become_regions(tmp_path):
    cases = [case(1, masked=False), case(2, positive=False), case(3)]
    assert [roi.image for roi in cut_rois(cases, tmp_path, config=CONFIG)] == [cases[2].image]


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


def test_a_views_target_fills_its_box_and_its_bright_points_lie_on_it(tmp_path):
    roi = region(tmp_path)
    for seed in range(20):
        view = draw_view(roi, np.random.default_rng(seed), config=CONFIG)
        x0, y0, x1, y1 = view.box
        rows, columns = np.nonzero(view.target > 0.5)
        assert abs(columns.min() - x0) <= 1
        assert abs(columns.max() + 1 - x1) <= 1
        assert abs(rows.min() - y0) <= 1
        assert abs(rows.max() + 1 - y1) <= 1
        assert view.bright
        for x, y in view.bright:
            assert view.target[int(y), int(x)] > 0
            assert (
                view.planes[2, int(y), int(x)] == view.planes[2].max() or view.planes[2, int(y), int(x)] > 1
            )


@pytest.mark.parametrize("quarter_turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_turning_moves_box_and_points_with_the_pixels(view, quarter_turns, mirrored):
    after = turned(view, quarter_turns=quarter_turns, mirrored=mirrored)
    x0, y0, x1, y1 = after.box
    rows, columns = np.nonzero(after.target > 0.5)
    assert abs(columns.mean() + 0.5 - (x0 + x1) / 2) < 1
    assert abs(rows.mean() + 0.5 - (y0 + y1) / 2) < 1
    assert x0 < x1
    assert y0 < y1
    for (x, y), (u, v) in zip(view.bright, after.bright, strict=True):
        assert np.array_equal(view.planes[:, int(y), int(x)], after.planes[:, int(v), int(u)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_prompt_is_a_box_or_positive_points_and_tells_the_truth(view, seed):
    coordinates, labels = draw_prompt(view, np.random.default_rng(seed))
    assert coordinates.shape == (TOKENS, 2)
    assert labels.shape == (TOKENS,)
    has_box = TOP_LEFT in labels
    assert has_box == (BOTTOM_RIGHT in labels)
    assert has_box or POSITIVE in labels
    for (x, y), label in zip(coordinates, labels, strict=True):
        if label == POSITIVE:
            assert view.target[int(y), int(x)] > 0
        if label == NEGATIVE:
            assert view.target[int(y), int(x)] == 0


def test_every_kind_of_prompt_is_drawn(view):
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(200):
        _, labels = draw_prompt(view, rng)
        kinds.add((POSITIVE in labels, NEGATIVE in labels, TOP_LEFT in labels))
        assert PADDING in labels
    assert kinds >= {(False, False, True), (True, False, True), (True, False, False), (True, True, True)}
