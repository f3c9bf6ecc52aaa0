"""The parts of a step: the split encoder, LoRA, the second click."""

from dataclasses import replace

import pytest
import torch

from mammo.errors import InvalidWeights
from mammo.segmenter.decoder import Decoded
from mammo.segmenter.network import NEGATIVE, PADDING, POSITIVE, new_network
from training.segmenter.batches import Batch
from training.segmenter.encoder_split import EncoderSplit
from training.segmenter.finetune import select_trained
from training.segmenter.lora import LowRankQkv, merge_lora
from training.segmenter.loss import SegmenterLoss, second_click
from training.segmenter.prompts import CLICK, TOKENS
from training.segmenter.recipes import segmenter_smoke

RECIPE = segmenter_smoke()
PLANES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def network(**changes):
    return new_network(replace(RECIPE.config, **changes), seed=1).eval()


def equal(first, second):
    for name in first._fields:
        a, b = getattr(first, name), getattr(second, name)
        assert (a is None) == (b is None), name
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("policy", ["hq", "decoder", "lora", "all"])
@pytest.mark.parametrize("changes", [{}, {"middle": False}, {"final_source": "block"}, {"early": False}])
@torch.no_grad()
def test_the_two_parts_of_a_split_encoder_are_the_encoder(policy, changes):
    whole = network(**changes)
    split = EncoderSplit(whole, policy)
    equal(split.levels(split.frozen_features(PLANES)), whole.encode(PLANES))


@torch.no_grad()
def test_what_is_kept_serves_every_row_of_table_3():
    mlsam, hq = network(), network(middle=False)
    hq.image_encoder.load_state_dict(mlsam.image_encoder.state_dict())
    features = EncoderSplit(mlsam, "hq").frozen_features(PLANES)
    equal(EncoderSplit(hq, "hq").levels(features), hq.encode(PLANES))


@torch.no_grad()
def test_lora_starts_as_nothing_and_merges_into_the_same_function():
    plain, adapted = network(), network()
    select_trained(adapted, replace(RECIPE, policy="lora"))
    equal(adapted.encode(PLANES), plain.encode(PLANES))
    changed = [m for m in adapted.modules() if isinstance(m, LowRankQkv)]
    assert len(changed) == 2
    for module in changed:
        for up in module.up:
            up.normal_(generator=torch.Generator().manual_seed(2))
    before = adapted.encode(PLANES)
    merge_lora(adapted)
    equal(adapted.encode(PLANES), before)
    assert adapted.state_dict().keys() == plain.state_dict().keys()
    assert not torch.allclose(before.neck, plain.encode(PLANES).neck)


def batch(*, corrects=False, present=(True, True)):
    torch.manual_seed(0)
    candidates = torch.rand(2, 160, 2)
    truth = (candidates[..., 0] > 0.5).float() * torch.tensor(present)[:, None]
    labels = torch.full((2, TOKENS), PADDING)
    labels[:, 0] = POSITIVE
    return Batch(
        features={"planes": PLANES},
        coordinates=torch.full((2, TOKENS, 2), 40.0),
        labels=labels,
        candidates=candidates,
        truth=truth,
        present=torch.tensor(present),
        whole=torch.tensor([True, True]),
        corrects=corrects,
    )


def decoded(logits):
    return Decoded(logits=logits, sam=logits, hq=None, iou=torch.zeros(len(logits)), presence=None)


def test_a_second_click_is_where_the_first_mask_is_wrong_and_tells_the_truth():
    full, empty = torch.full((1, 1, 16, 16), 5.0), torch.full((1, 1, 16, 16), -5.0)
    given = batch()
    coordinates, labels = second_click(given, decoded(torch.cat([full, empty])))
    assert labels[:, CLICK].tolist() == [NEGATIVE, POSITIVE]
    assert coordinates[0, CLICK, 0] < 32 < coordinates[1, CLICK, 0]
    assert (given.labels[:, CLICK] == PADDING).all()
    features = [token for token in range(TOKENS) if token != CLICK]
    assert torch.equal(coordinates[:, features], given.coordinates[:, features])


def test_a_second_click_goes_where_the_mask_is_most_certain_of_what_is_wrong():
    """The truth is the right half: of the left half, all wrong, the upper rows are the surest."""
    rows = torch.linspace(5, 1, 16)[:, None].expand(16, 16)[None, None]
    given = batch()
    coordinates, labels = second_click(given, decoded(rows.repeat(2, 1, 1, 1)))
    wrong = given.candidates[0][given.truth[0] < 0.5] * 64
    assert labels[0, CLICK] == NEGATIVE
    assert coordinates[0, CLICK, 1] <= wrong[:, 1].min() + 2  # rows beyond the first centre are all as sure
    assert coordinates[0, CLICK, 0] < 32


def test_a_right_mask_gets_its_click_too():
    half = torch.full((2, 1, 16, 16), -50.0)
    half[..., 8:] = 50.0
    _, labels = second_click(batch(), decoded(half))
    assert (labels[:, CLICK] >= 0).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("corrects", [False, True])
def test_every_kind_of_step_reaches_every_trained_part(precision, corrects):
    recipe = replace(RECIPE, policy="all", prompts=1, num_points=64, precision=precision)
    trained = network()
    select_trained(trained, recipe)
    loss = SegmenterLoss(trained, recipe)(batch(corrects=corrects, present=(True, False)))
    loss.total.backward()
    idle = {name for name, p in trained.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    assert torch.isfinite(loss.total)
    assert not any(name.startswith(("image_encoder.", "mask_decoder.presence")) for name in idle)
    down = "prompt_encoder.mask_downscaling.0.weight"
    assert (down in idle) == (not corrects)


def test_without_a_presence_head_there_is_no_presence_loss():
    recipe = replace(RECIPE, policy="all", prompts=1, num_points=64)
    loss = SegmenterLoss(network(presence=False), recipe)(batch())
    assert float(loss.presence.detach()) == 0.0
    assert torch.equal(loss.total, loss.mask)


@torch.no_grad()
def test_a_pyramid_is_kept_whole_and_takes_no_lora():
    pyramid = new_network(
        replace(RECIPE.config, encoder="vit_t", input_size=64, decoder_width=256), seed=0
    ).eval()
    split = EncoderSplit(pyramid, "decoder")
    equal(split.levels(split.frozen_features(PLANES)), pyramid.encode(PLANES))
    with pytest.raises(InvalidWeights, match="plain ViT"):
        EncoderSplit(pyramid, "lora")
