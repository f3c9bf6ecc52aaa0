"""Nested shares of the patients are trained on, and all are measured on the same held-out patients."""

from itertools import pairwise

import pytest

from mammo.errors import InsufficientData
from training.cases import silent
from training.learning_curve.shares import measure_shares, sizes_of
from training.provisional.recipes import PROVISIONAL_RECIPES


def measured(world, project_dataset):
    registry = world.registry
    return measure_shares(
        project_dataset,
        champion=registry.files(registry.champion().version, into=world.context.models),
        recipe=PROVISIONAL_RECIPES["provisional"],
        context=world.context,
        folder=world.context.runs / "curve",
        progress=silent,
    )


def test_the_sizes_are_the_shares_and_never_nobody():
    assert sizes_of(40) == [10, 20, 30, 40]
    assert sizes_of(2) == [1, 1, 2, 2]


def test_each_share_holds_the_smaller_ones_and_no_held_out_patient(dataset_of, world):
    dataset = dataset_of(12)
    shares = measured(world, dataset)
    trained = [set(call[1]) for call in world.networks.calls]
    assert [len(each) for each in trained] == [point.patients for point in shares.measurements]
    assert all(small < large for small, large in pairwise(trained))
    test = {item.patient for item in dataset.items if item.fold == "test"}
    assert not trained[-1] & test
    assert {point.evaluation.patients for point in shares.measurements} == {tuple(sorted(test))}
    assert not (world.context.runs / "curve").exists()


def test_too_few_patients_are_refused(dataset_of, world):
    with pytest.raises(InsufficientData, match="at least 4 to train on"):
        measured(world, dataset_of(3))
