"""What a retrain needs, and whether one could succeed."""

from __future__ import annotations

import pytest

from backend.readiness import Waiting, readiness
from mammo.annotations import DatasetFacts
from mammo.settings import Settings
from mammo.training_settings import MIN_TEST_PATIENTS
from tests.backend.console.access import browser, submit
from tests.backend.fakes import Backend
from training.retrain.recipes import RECIPES


def waiting(corrections: int, patients: int, held_out: int | None = 10) -> Waiting:
    dataset = None if held_out == 0 else DatasetFacts("d1", 40, held_out)
    return Waiting(corrections=corrections, patients=patients, dataset=dataset)


def test_the_least_patients_are_those_of_the_recipes_gates() -> None:
    assert {name: recipe.gate.min_patients for name, recipe in RECIPES.items()} == MIN_TEST_PATIENTS
    assert Settings(gate_min_patients=5).min_test_patients("finetune") == 5


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (waiting(0, 0, 0), "there is no correction yet"),
        (waiting(9, 7, 0), "annotate about 24 more patients first"),
        (waiting(9, 3, 4), "annotate about 12 more patients first"),
        (waiting(40, 28, 0), "About 4 more patients until the gate can decide."),
        (waiting(40, 32, 0), "There is enough for a retrain."),
        (waiting(0, 0), "Nothing new to learn from"),
        (waiting(3, 1, None), "There is enough for a retrain."),
    ],
)
def test_readiness_knows_the_patients_that_the_gate_needs(what: Waiting, words: str) -> None:
    assert words in readiness(what, Settings(), "finetune")


def test_readiness_names_what_starts_a_retrain_by_itself() -> None:
    settings = Settings(train_after=20, train_least_patients=5)
    said = readiness(waiting(12, 3), settings, "finetune")
    assert (
        said
        == "8 more corrections and 2 more patients until a retrain starts by itself; it can be started by hand."
    )


def test_a_run_that_cannot_succeed_is_refused_with_the_reason_and_not_recorded() -> None:
    backend = Backend()
    backend.store.dataset, backend.store.num_corrections, backend.store.num_patients = None, 9, 7
    client = browser(backend, "administrator")
    form = {"project": "3", "recipe": "finetune", "reason": "x"}
    refused = submit(client, "/console/runs", on="/console", **form)
    assert refused.status_code == 409
    assert "annotate about 24 more patients first" in refused.text
    assert backend.services.site.runs.runs.newest() == []
    assert submit(client, "/console/runs", on="/console", **{**form, "recipe": "smoke"}).status_code == 303
