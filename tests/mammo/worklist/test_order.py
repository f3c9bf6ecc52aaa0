import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.worklist.order import Candidate, planned, record_order, strategies


def tasks(positives, negatives, unknown=0):
    kinds = ["positive"] * positives + ["negative"] * negatives + ["unknown"] * unknown
    return [Candidate(task=number, stratum=kind, score=number / 1000) for number, kind in enumerate(kinds, 1)]


def order(candidates, strategy="random", *, share=0.5, limit=1000, project=1):
    return planned(candidates, strategy, project=project, positive_share=share, limit=limit)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5), st.floats(0.05, 0.95), st.integers(0, 70))
def test_every_task_has_one_place_and_every_beginning_has_its_share_of_positives(
    positives, negatives, unknown, share, limit
):
    candidates = tasks(positives, negatives, unknown)
    places = order(candidates, share=share, limit=limit)
    assert len(places) == min(limit, len(candidates)) == len({place.task for place in places})
    assert [place.rank for place in places] == list(range(len(places)))
    num_positive = 0
    for turn, place in enumerate(places, 1):
        num_positive += place.stratum == "positive"
        if num_positive < positives and turn - num_positive < negatives + unknown:  # both are left
            assert abs(num_positive - share * turn) <= 1


@given(st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_in_which_tasks_are_listed(shuffled: random.Random):
    candidates = tasks(8, 20)
    again = list(candidates)
    shuffled.shuffle(again)
    assert order(candidates) == order(again)
    assert order(candidates) != order(candidates, project=2)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(10, 40))
def test_the_weights_of_what_was_dealt_out_count_all_tasks(positives, negatives, limit):
    places = order(tasks(positives, negatives), limit=limit)
    assert sum(each.weight for each in places if each.stratum == "positive") == pytest.approx(
        positives, abs=0.01
    )
    assert sum(each.weight for each in places if each.stratum != "positive") == pytest.approx(
        negatives, abs=0.01
    )


def test_within_a_stratum_the_order_says_nothing_about_the_score():
    ranks = [place.task for place in order(tasks(200, 0))]
    rising = sum(one < other for one, other in itertools.pairwise(ranks))
    assert 70 < rising < 130


def test_by_score_the_least_certain_comes_first_and_before_it_what_was_never_looked_at():
    candidates = [
        Candidate(task=1, stratum="positive", score=0.9),
        Candidate(task=2, stratum="negative", score=0.5),
        Candidate(task=3, stratum="unknown"),
        Candidate(task=4, stratum="positive", score=0.2),
    ]
    assert [place.task for place in order(candidates, "score")] == [3, 4, 2, 1]


def test_the_newest_plan_of_a_task_is_its_strategy(any_engine):
    record_order(any_engine, 1, order(tasks(2, 2)))
    record_order(any_engine, 1, order(tasks(2, 2), "score", limit=1))
    assert strategies(any_engine, 1) == {1: "score", 2: "random", 3: "random", 4: "random"}
    assert strategies(any_engine, 2) == {}
