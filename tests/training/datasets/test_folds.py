import random

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mammo.database import open_database, patient_fold, reading
from training.datasets.folds import SHARES, assign_folds, choose_folds


def people(count, *, start=0, positive=True):
    return {f"{number:016x}": positive for number in range(start, start + count)}


def test_the_first_patient_trains_and_the_second_tests():
    assert list(choose_folds({}, people(4)).values()) == ["train", "test", "train", "validation"]


def test_a_patient_never_changes_fold(any_engine):
    first = assign_folds(any_engine, people(7), before={})
    later = assign_folds(any_engine, people(30), before={})
    assert {patient: later[patient] for patient in first} == first
    assert (
        assign_folds(any_engine, {patient: not known for patient, known in people(7).items()}, before={})
        == first
    )


def test_folds_outlive_the_process(any_engine):
    before = assign_folds(any_engine, people(9), before={})
    other = open_database(any_engine.url.render_as_string(hide_password=False))
    assert assign_folds(other, people(9), before={}) == before
    other.dispose()


def test_only_who_was_asked_for_is_assigned(any_engine):
    assert list(assign_folds(any_engine, people(3), before={})) == sorted(people(3))
    assert assign_folds(any_engine, {}, before={}) == {}
    with reading(any_engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(patient_fold)) == 3


def test_the_same_patients_get_the_same_folds_in_whatever_order_they_come(tmp_path):
    patients = list((people(20) | people(20, start=100, positive=False)).items())
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(patients)
        engine = open_database(f"sqlite:///{tmp_path / f'{seed}.db'}")
        found.append(assign_folds(engine, dict(patients), before={}))
        engine.dispose()
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("positive", [True, False])
def test_patients_with_findings_and_those_without_are_each_shared_out(positive):
    both = people(60) | people(200, start=1000, positive=False)
    folds = choose_folds({}, both)
    mine = [folds[patient] for patient, has in both.items() if has is positive]
    for fold, share in SHARES.items():
        assert mine.count(fold) == pytest.approx(share * len(mine), abs=1)


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_arriving_in_batches_changes_nothing_for_the_shares(kinds, cut):
    patients = {f"{number:04d}": kind for number, kind in enumerate(kinds)}
    first = dict(list(patients.items())[:cut])
    counts = {}
    chosen = choose_folds({}, first)
    for patient, fold in chosen.items():
        counts[patients[patient], fold] = counts.get((patients[patient], fold), 0) + 1
    chosen |= choose_folds(counts, {p: kind for p, kind in patients.items() if p not in first})
    for kind in (True, False):
        mine = [chosen[patient] for patient in patients if patients[patient] is kind]
        for fold, share in SHARES.items():
            assert abs(mine.count(fold) - share * len(mine)) <= 1.5
    for fold, share in SHARES.items():
        assert abs(list(chosen.values()).count(fold) - share * len(chosen)) <= 1.5


@given(st.lists(st.booleans(), min_size=7, max_size=7))
def test_of_seven_patients_two_are_held_out_for_the_test_whatever_they_are(kinds):
    folds = choose_folds({}, {str(number): kind for number, kind in enumerate(kinds)})
    assert sorted(folds.values()).count("test") == 2
    assert sorted(folds.values()).count("train") == 4


def test_whom_a_model_was_trained_on_under_another_key_is_never_tested_on(any_engine):
    before = {"new-1": {"train", "test"}, "new-2": {"test"}, "new-3": {"test", "validation"}}
    found = assign_folds(any_engine, {**people(3), **dict.fromkeys(before, True)}, before=before)
    assert [found[patient] for patient in before] == ["train", "test", "validation"]
    assert assign_folds(any_engine, {"new-2": True}, before={"new-2": {"train"}}) == {"new-2": "test"}
