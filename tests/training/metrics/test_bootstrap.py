import math

import numpy as np
import pytest

from training.metrics import interval

VALUES = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0])


def mean(weights):
    return float(weights @ VALUES / weights.sum())


def test_patients_are_drawn_with_all_their_images():
    seen = []

    def statistic(weights):
        seen.append(weights)
        return mean(weights)

    interval(statistic, ["a", "a", "b", "b", "c", "c", "d", "d"], draws=50)
    assert all((weights[::2] == weights[1::2]).all() for weights in seen)
    assert all(weights.sum() == 8 for weights in seen)


def test_the_interval_is_that_of_the_binomial():
    # 400 patients of one image each, 70 % of them hits: standard error sqrt(.7 * .3 / 400) = 0.0229
    hits = np.repeat([1.0, 0.0], [280, 120])
    found = interval(lambda w: float(w @ hits / w.sum()), [str(n) for n in range(400)], draws=2000)
    assert found.value == pytest.approx(0.7)
    assert found.low == pytest.approx(0.7 - 1.96 * 0.0229, abs=0.006)
    assert found.high == pytest.approx(0.7 + 1.96 * 0.0229, abs=0.006)


def test_views_of_one_person_make_it_wider_than_as_many_people():
    hits = np.repeat([1.0, 0.0], [280, 120])
    alone = interval(lambda w: float(w @ hits / w.sum()), [str(n) for n in range(400)])
    shared = interval(lambda w: float(w @ hits / w.sum()), [str(n // 4) for n in range(400)])
    assert shared.high - shared.low > 1.6 * (alone.high - alone.low)


def test_the_same_seed_gives_the_same_interval():
    hits = np.random.default_rng(0).uniform(size=30)
    owners = [str(n) for n in range(30)]
    first, again, other = (interval(lambda w: float(w @ hits), owners, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_draws_without_anything_to_measure_are_left_out():
    def statistic(weights):
        return mean(weights) if weights[0] else math.nan

    found = interval(statistic, list("aabbccdd"), draws=200)
    assert not math.isnan(found.low)
    assert str(interval(lambda _: math.nan, ["a"])) == "-"
