"""Out of fold: every patient is predicted by a model that has learned from the others, and from them only."""

import pytest

from mammo.errors import Cancelled, InsufficientData
from training.out_of_fold import FoldPlan, folds_of, out_of_fold_predictions
from training.provisional.recipes import PROVISIONAL_RECIPES

PLAN = FoldPlan(folds=3, seed=1, base="starter-1", recipe="provisional")


def predict(world, dataset, progress=lambda *_: None):
    return out_of_fold_predictions(
        dataset,
        PLAN,
        base=world.registry.files("starter-1", into=world.context.models),
        recipe=PROVISIONAL_RECIPES["provisional"],
        networks=world.networks,
        open_image=world.context.open_image,
        folder=world.context.runs / "folds",
        progress=progress,
    )


def boxes(predictions):
    (images,) = predictions.by_model.values()
    return [(item.image, [each.box for each in found]) for item, found in images]


def test_a_patient_is_in_one_fold_and_the_seed_decides_in_which():
    patients = [f"p{number}" for number in range(11)]
    folds = folds_of(patients, folds=3, seed=5)
    assert sorted(patient for fold in folds for patient in fold) == sorted(patients)
    assert sorted(map(len, folds)) == [3, 4, 4]
    assert folds_of(reversed(patients), folds=3, seed=5) == folds
    assert folds_of(patients, folds=3, seed=6) != folds


@pytest.mark.parametrize(("patients", "folds"), [(2, 3), (5, 1), (0, 2)])
def test_more_folds_than_patients_and_a_single_one_are_refused(patients, folds):
    with pytest.raises(InsufficientData, match="2 to"):
        folds_of([str(number) for number in range(patients)], folds=folds, seed=0)


def test_no_patient_is_predicted_by_a_model_that_was_trained_on_her(world, dataset_of):
    dataset = dataset_of(7)
    predictions = predict(world, dataset)
    (images,) = predictions.by_model.values()
    assert {item.image for item, _ in images} == {item.image for item in dataset.items}
    patients = {item.patient for item in dataset.items}
    left_out = [patients - set(call[1]) for call in world.networks.calls]
    assert left_out == [set(fold) for fold in folds_of(patients, folds=3, seed=1)]
    assert {call[2] for call in world.networks.calls} == {"40"}, "each starts from the base"
    assert {found[0].box.x0 for _, found in images} == {5}, "what it has learned"
    assert not (world.context.runs / "folds").exists(), "it held pixels of patients"


def test_a_cancelled_search_goes_on_with_the_fold_where_it_was(world, dataset_of):
    dataset = dataset_of(6)

    def cancel(share, message):
        if message.startswith("fold 2 of 3: 1 of"):
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        predict(world, dataset, cancel)
    before = len(world.networks.calls)
    resumed = boxes(predict(world, dataset))
    assert before == 2
    assert len(world.networks.calls) == 4, "the first fold is not trained again"
    world.networks.calls.clear()
    assert resumed == boxes(predict(world, dataset))
