import pytest
import torch

from mammo.segmenter.network import Mlsam
from training.segmenter.recipes import SEGMENTER_RECIPES, segmenter_starter


@pytest.mark.parametrize("name", SEGMENTER_RECIPES)
def test_a_recipe_carries_its_name_and_can_finish(name):
    recipe = SEGMENTER_RECIPES[name]()
    assert recipe.name == f"segmenter_{name}"
    assert 0 < recipe.warm_up < recipe.steps
    assert 0 < recipe.validate_every <= recipe.steps
    assert min(recipe.batch, recipe.prompts, recipe.views) >= 1


def test_no_recipe_of_a_site_reduces_its_precision():
    reduced = {name for name in SEGMENTER_RECIPES if SEGMENTER_RECIPES[name]().precision != "float32"}
    assert reduced == {"paper", "starter_mixed"}


def test_the_starter_fits_its_file():
    with torch.device("meta"):
        network = Mlsam(segmenter_starter().config)
    assert 2 * sum(tensor.numel() for tensor in network.state_dict().values()) <= 22e6


def test_adapting_starts_from_the_starters_network():
    assert (
        SEGMENTER_RECIPES["demo"]().config
        == SEGMENTER_RECIPES["finetune"]().config
        == segmenter_starter().config
    )
