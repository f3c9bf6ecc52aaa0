import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.readings.kappa import cohens_kappa, nominal_kappa, ratings_by_patient, weighted_kappa

agreement = importlib.import_module(
    "nltk.metrics.agreement"
)  # its package hides the name from `import ... as`


def test_cohens_own_formula_on_a_table_worked_by_hand():
    ratings = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    kappa = cohens_kappa(ratings)
    assert kappa.observed == pytest.approx(0.7)
    assert kappa.value == pytest.approx((0.7 - 0.5) / (1 - 0.5))  # p_e = 0.5 * 0.6 + 0.5 * 0.4
    assert kappa.patients == 50


def test_kappa_has_no_value_where_both_always_say_the_same_one_thing():
    assert cohens_kappa([(True, True)] * 3).value is None
    assert cohens_kappa([]).value is None
    assert cohens_kappa([]).observed is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_it_is_the_kappa_of_nltk(ratings):
    kappa = cohens_kappa(ratings).value
    if kappa is None:
        assert len({each for pair in ratings for each in pair}) == 1
        return
    rows = [(who, item, str(pair[who])) for item, pair in enumerate(ratings) for who in (0, 1)]
    assert kappa == pytest.approx(agreement.AnnotationTask(rows).kappa())


def test_a_patient_counts_once_and_any_image_with_a_finding_makes_it_positive():
    images = [("p1", (False, False)), ("p1", (True, False)), ("p2", (False, True)), ("p3", (False, False))]
    assert ratings_by_patient(images) == {"p1": (True, False), "p2": (False, True), "p3": (False, False)}


def test_weighted_kappa_of_ordered_words_is_that_of_a_table_worked_by_hand():
    # Readers are one step apart twice, two steps once. Rates: first (2, 1, 1), second (1, 2, 1) of low, middle, high.
    ratings = [("low", "low"), ("low", "middle"), ("middle", "high"), ("high", "middle")]
    # observed: 0 + 1 + 1 + 1; by chance / n: (2*1*0 + 2*2*1 + 2*1*2 + 1*1*1 + 0 + 1*1*1 + 1*1*2 + 1*2*1 + 0) / 4
    assert weighted_kappa(ratings, order=("low", "middle", "high")) == pytest.approx(1 - 3 / (14 / 4))
    assert weighted_kappa([("low", "low"), ("high", "high")], order=("low", "high")) == 1
    assert weighted_kappa([("low", "low")], order=("low", "high")) is None
    assert weighted_kappa([], order=("low", "high")) is None
    two = [("a", "b"), ("a", "a"), ("b", "b")]
    assert weighted_kappa(two, order=("a", "b")) == pytest.approx(nominal_kappa(two)), (
        "two words have no degrees"
    )
