from __future__ import annotations

from collections.abc import Callable

import pytest

from training.detector.recipes import (
    DETECTOR_RECIPES,
    FROM_SCRATCH,
    DetectorRecipe,
    detector_finetune,
    detector_paper,
    detector_starter,
)

ALL = list(DETECTOR_RECIPES.values())


def test_the_papers_recipe_is_section_4() -> None:
    recipe = detector_paper()
    assert (recipe.batch, recipe.epochs, recipe.lr0, recipe.mosaic) == (8, 150, 0.01, 1.0)
    assert (recipe.spec.attention, recipe.spec.after) == ("cbam", (2, 4))


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_a_recipe_is_named_as_its_function_and_fits_the_network(make: Callable[[], DetectorRecipe]) -> None:
    recipe = make()
    assert make.__name__ == f"detector_{recipe.name}"
    assert recipe.tile % 32 == 0
    assert recipe.tile <= recipe.spec.tile
    assert recipe.close_mosaic <= recipe.epochs


def test_a_recipe_is_known_by_its_name() -> None:
    assert all(make().name == name for name, make in DETECTOR_RECIPES.items())
    assert set(DETECTOR_RECIPES) >= FROM_SCRATCH


def test_only_runs_on_top_of_other_weights_replay() -> None:
    assert detector_finetune().replay.views > 0
    assert detector_finetune().mined > 0
    assert detector_starter().replay.views == detector_paper().replay.views == 0
