from __future__ import annotations

from collections.abc import Callable

import pytest

from training.detector_recipes import (
    DetectorRecipe,
    detector_demo,
    detector_finetune,
    detector_paper,
    detector_smoke,
    detector_starter,
)

ALL = [detector_demo, detector_finetune, detector_paper, detector_smoke, detector_starter]


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
