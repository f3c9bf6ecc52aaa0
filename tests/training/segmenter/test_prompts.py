from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from tests.training.segmenter_cases import region
from training.segmenter.mask_loss import num_candidates
from training.segmenter.prompts import CLICK, TOKENS, draw_prompt
from training.segmenter.recipes import segmenter_smoke
from training.segmenter.views import draw_view

CONFIG = segmenter_smoke().config


@pytest.fixture
def view(tmp_path):
    return draw_view(region(tmp_path), np.random.default_rng(0), config=CONFIG)


def draw(view, seed, *, num_points=200):
    return draw_prompt(view, np.random.default_rng(seed), num_points=num_points)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_a_prompt_is_a_box_or_positive_points_and_tells_the_truth(view, seed):
    prompt = draw(view, seed)
    assert prompt.coordinates.shape == (TOKENS, 2)
    assert prompt.labels.shape == (TOKENS,)
    has_box = TOP_LEFT in prompt.labels
    assert has_box == (BOTTOM_RIGHT in prompt.labels)
    assert has_box or POSITIVE in prompt.labels
    for point, label in zip(prompt.coordinates, prompt.labels, strict=True):
        if label in (POSITIVE, NEGATIVE):
            assert view.covers(point[None])[0] == (label == POSITIVE)


def test_every_kind_of_prompt_is_drawn_and_leaves_room_for_a_click(view):
    kinds = set()
    for seed in range(300):
        labels = draw(view, seed).labels
        kinds.add((POSITIVE in labels, NEGATIVE in labels, TOP_LEFT in labels))
        assert labels[CLICK] == PADDING
    assert kinds >= {(False, False, True), (True, False, True), (True, False, False), (True, True, True)}


def test_candidates_lie_in_the_dilated_box_and_know_the_native_truth(view):
    for seed in range(40):
        prompt = draw(view, seed)
        assert prompt.candidates.shape == (num_candidates(200), 2)
        assert 0 <= prompt.candidates.min() <= prompt.candidates.max() <= 1
        at = prompt.candidates * view.input_size
        assert np.array_equal(prompt.truth, view.covers(at))
        if TOP_LEFT in prompt.labels:
            low, high = prompt.coordinates[-2], prompt.coordinates[-1]
            assert (at >= low - 1e-3).all()
            assert (at <= high + 1e-3).all()
            assert prompt.truth.mean() > 0.4


def test_points_alone_are_judged_far_from_the_box_too(view):
    alone = [p for p in (draw(view, seed) for seed in range(60)) if TOP_LEFT not in p.labels]
    spread = np.concatenate([p.candidates for p in alone])
    assert alone
    assert spread.min() < 0.05
    assert spread.max() > 0.95


def test_a_place_without_specks_is_prompted_by_its_box(view):
    bare = replace(view, bright=(), truth=np.zeros_like(view.truth))
    for seed in range(30):
        prompt = draw(bare, seed)
        assert TOP_LEFT in prompt.labels
        assert not prompt.truth.any()
