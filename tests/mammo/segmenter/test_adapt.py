from dataclasses import replace

import pytest
import torch
from segment_anything.modeling.image_encoder import get_rel_pos

from mammo.errors import InvalidWeights
from mammo.segmenter.adapt import adapted
from mammo.segmenter.network import BOTTOM_RIGHT, TOP_LEFT
from tests.mammo.segmenter.networks import SMALL, filled, small, some_pixels

LABELS = torch.tensor([[TOP_LEFT, BOTTOM_RIGHT]])


def decode(network):
    levels = network.encode(some_pixels(network.config))
    box = torch.tensor([[[8.0, 8.0], [40.0, 30.0]]])
    return network.decode(levels.neck, network.fuse(levels), box, LABELS)


def test_mlsam_from_hq_sam_starts_exactly_as_hq_sam_and_then_learns():
    hq_sam = filled(small(middle=False))
    network = adapted(hq_sam, SMALL, seed=5)
    before = decode(network)
    for theirs, ours in zip(decode(hq_sam)[:4], before[:4], strict=True):
        assert torch.equal(theirs, ours)
    optimizer = torch.optim.SGD(network.allow("hq"), lr=0.1)
    before.logits.square().mean().backward()
    optimizer.step()
    branch = network.mask_decoder.compress_mid_feat
    assert branch[-1].weight.abs().sum() > 0
    assert not torch.equal(decode(network).hq, before.hq)


def test_what_the_new_configuration_does_not_have_is_left_out():
    full = filled(small(presence=True))
    assert (
        decode(adapted(full, replace(SMALL, middle=False, hq_token=False, combine="sam"), seed=1)).hq is None
    )


def test_fresh_parts_follow_the_seed():
    sam = filled(small(hq_token=False, combine="sam"))
    a, b, c = (adapted(sam, SMALL, seed=seed).mask_decoder.hf_token.weight for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_relative_positions_become_what_segment_anything_would_compute_in_every_call():
    network = filled(small())
    resized = adapted(network, replace(SMALL, input_size=32), seed=1)
    whole = 1  # the second block of the smoke encoder sees the whole input
    old, new = (n.image_encoder.blocks[whole].attn.rel_pos_h for n in (network, resized))
    assert (len(old), len(new)) == (7, 3)
    torch.testing.assert_close(get_rel_pos(2, 2, new), get_rel_pos(2, 2, old))


@pytest.mark.parametrize("side", [32, 128])
def test_absolute_positions_keep_their_slope_at_another_input_size(side):
    network = small()
    ramp = torch.arange(4.0) + 0.5  # token centres, in tokens of the old grid
    with torch.no_grad():
        network.image_encoder.pos_embed.copy_(ramp[None, :, None, None].expand(1, 4, 4, 32))
    g = side // 16
    grid = adapted(network, replace(SMALL, input_size=side), seed=1).image_encoder.pos_embed
    assert grid.shape == (1, g, g, 32)
    along = grid.detach()[0, :, 0, 0]
    assert torch.allclose(grid, along[None, :, None, None].expand_as(grid), atol=1e-5)
    assert (along.diff() > 0).all()
    assert float(along.mean()) == pytest.approx(2.0, abs=1e-4)


def test_another_input_size_runs():
    assert decode(adapted(small(), replace(SMALL, input_size=128), seed=1)).logits.shape == (1, 1, 32, 32)


@pytest.mark.parametrize("change", [{"encoder": "vit_t"}, {"decoder_width": 64}])
def test_another_encoder_is_refused_with_what_came_and_what_to_do(change):
    with pytest.raises(InvalidWeights, match=r"hold encoder 'smoke'.*asks for.*weights list") as caught:
        adapted(small(), replace(SMALL, **change), seed=1)
    assert caught.value.code == "other_encoder"
