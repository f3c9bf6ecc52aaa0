"""TinyViT inside MLSAM; that it computes what MobileSAM's does is in test_parity.py."""

from dataclasses import replace

import pytest
import torch

from mammo.segmenter.config import MlsamConfig, mlsam
from mammo.segmenter.network import BOTTOM_RIGHT, TOP_LEFT, new_network
from mammo.segmenter.weights import load_segmenter, save_segmenter
from tests.mammo.segmenter.networks import some_pixels

TINY = MlsamConfig(encoder="vit_t", input_size=64, decoder_width=32)


@pytest.mark.parametrize("side", [64, 112, 128])
def test_the_levels_have_stride_16_at_any_input_size(side):
    config = replace(TINY, input_size=side, final_source="block")
    levels = new_network(config, seed=1).eval().encode(some_pixels(config))
    g = side // 16
    assert [tuple(level.shape) for level in levels] == [
        (1, width, g, g) for width in (32, *config.level_widths)
    ]
    assert config.level_widths == (160, 320, 320)


def test_an_unused_level_is_not_handed_out():
    levels = new_network(replace(TINY, early=False), seed=1).encode(some_pixels(TINY))
    assert levels.early is None
    assert levels.final is None
    assert levels.middle is not None


def test_training_moves_the_norms_weights_but_not_their_statistics():
    network = new_network(TINY, seed=1).train()
    before = {name: tensor.clone() for name, tensor in network.named_buffers()}
    levels = network.encode(some_pixels(TINY, images=2))
    box = torch.tensor([[[8.0, 8.0], [40.0, 30.0]]] * 2)
    labels = torch.tensor([[TOP_LEFT, BOTTOM_RIGHT]] * 2)
    network.decode(levels.neck, network.fuse(levels), box, labels).logits.square().mean().backward()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.named_buffers())
    norm = network.image_encoder.layers[0].blocks[0].conv1.bn
    assert norm.weight.grad.abs().sum() > 0


def test_a_file_of_it_comes_back(tmp_path):
    network = new_network(TINY, seed=1)
    counter = network.image_encoder.patch_embed.seq[0].bn.num_batches_tracked
    counter.fill_(1_000_000)  # more than float16 can hold
    save_segmenter(tmp_path / "tiny.safetensors", network, facts={})
    loaded, _ = load_segmenter(tmp_path / "tiny.safetensors")
    assert loaded.config == TINY
    assert loaded.image_encoder.patch_embed.seq[0].bn.num_batches_tracked == 1_000_000
    levels = loaded.encode(some_pixels(TINY))
    torch.testing.assert_close(levels.neck, network.encode(some_pixels(TINY)).neck, atol=0.01, rtol=0.01)


def test_the_paper_can_be_run_on_it():
    assert mlsam("vit_t").taps == (2, 3, 4)
