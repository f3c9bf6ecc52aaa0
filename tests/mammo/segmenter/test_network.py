from dataclasses import replace

import pytest
import torch

from mammo.segmenter.config import TABLE3, hq_sam, mlsam, sam
from mammo.segmenter.network import (
    BOTTOM_RIGHT,
    NEGATIVE,
    PADDING,
    POSITIVE,
    TOP_LEFT,
    Mlsam,
    network_without_values,
    new_network,
)
from tests.mammo.segmenter.networks import SMALL, small, some_pixels

BOX = ([[[8.0, 8.0], [40.0, 30.0]]], [[TOP_LEFT, BOTTOM_RIGHT]])


def decode(network, levels, coordinates=BOX[0], labels=BOX[1]):
    return network.decode(levels.neck, network.fuse(levels), torch.tensor(coordinates), torch.tensor(labels))


def meta(config) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in Mlsam(config).state_dict().items()}


@pytest.mark.parametrize(
    ("encoder", "sam_total", "hq_total", "mlsam_total"),
    [
        ("vit_b", 93_735_472, 94_806_576, 95_626_576),
        ("vit_l", 312_342_832, 313_676_080, 314_758_224),
        ("vit_h", 641_090_608, 642_686_000, 644_030_288),
    ],
)
def test_every_encoder_has_the_published_number_of_parameters(encoder, sam_total, hq_total, mlsam_total):
    def total(config):
        with torch.device("meta"):
            return sum(p.numel() for p in Mlsam(config).parameters())

    assert [total(make(encoder)) for make in (sam, hq_sam, mlsam)] == [sam_total, hq_total, mlsam_total]


def test_positions_are_built_for_the_input_size():
    shapes = meta(mlsam("vit_b", input_size=512))
    assert shapes["image_encoder.pos_embed"] == (1, 32, 32, 768)
    assert shapes["image_encoder.blocks.2.attn.rel_pos_h"] == (63, 64)


def test_mlsam_adds_only_the_middle_branch_to_hq_sam():
    added = meta(mlsam("vit_b")).keys() - meta(hq_sam("vit_b")).keys()
    assert added
    assert all(name.startswith("mask_decoder.compress_mid_feat.") for name in added)


def test_a_silent_middle_branch_computes_exactly_hq_sam():
    ours, theirs = small(), small(middle=False)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    levels = ours.encode(some_pixels(SMALL))
    before = decode(ours, levels).logits
    ours.mask_decoder.silence_middle()
    after = decode(ours, levels).logits
    expected = decode(theirs, theirs.encode(some_pixels(SMALL))).logits
    assert torch.equal(after, expected)
    assert not torch.equal(before, expected)


@pytest.mark.parametrize("row", TABLE3)
def test_every_row_of_table_3_trains_all_that_it_adds_and_nothing_else(row):
    table = TABLE3[row]
    config = replace(table, encoder="smoke", input_size=64, decoder_width=32)
    network = new_network(config, seed=1)
    trained = network.set_trainable("hq")
    assert trained
    decoded = decode(network, network.encode(some_pixels(config)))
    assert decoded.hq is not None
    decoded.hq.square().mean().backward()
    for name, parameter in network.named_parameters():
        moved = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert moved == parameter.requires_grad, name


@pytest.mark.parametrize("final_source", ["neck", "block"])
def test_logits_are_a_quarter_of_the_input(final_source):
    network = small(final_source=final_source)
    assert decode(network, network.encode(some_pixels(SMALL))).logits.shape == (1, 1, 16, 16)


def test_the_sum_is_the_sum_of_both_masks():
    network = small(combine="sum")
    decoded = decode(network, network.encode(some_pixels(SMALL)))
    assert decoded.hq is not None
    assert torch.equal(decoded.logits, decoded.sam + decoded.hq)


def test_prompts_are_embedded_as_segment_anything_does():
    """Its own coordinates name pixels and are shifted by half a pixel; ours are continuous."""
    network = small()
    points, boxes = torch.tensor([[[10.0, 20.0], [30.0, 5.0]]]), torch.tensor([[4.0, 6.0, 50.0, 40.0]])
    with_box, _ = network.prompt_encoder((points, torch.tensor([[1, 0]])), boxes, None)
    alone, _ = network.prompt_encoder((points, torch.tensor([[1, 0]])), None, None)
    corners = boxes.reshape(1, 2, 2)
    ours = network._embed(
        torch.cat([points, corners], 1) + 0.5, torch.tensor([[POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT]])
    )
    padded = network._embed(
        torch.cat([points + 0.5, torch.zeros(1, 1, 2)], 1), torch.tensor([[POSITIVE, NEGATIVE, PADDING]])
    )
    torch.testing.assert_close(ours, with_box)
    torch.testing.assert_close(padded, alone)


def test_sam_decodes_as_segment_anything_does():
    network = small(hq_token=False, combine="sam")
    levels = network.encode(some_pixels(SMALL))
    boxes = torch.tensor([[8.0, 8.0, 40.0, 30.0]])
    sparse, dense = network.prompt_encoder(None, boxes, None)
    decoder = network.mask_decoder
    theirs, _ = super(type(decoder), decoder).forward(
        levels.neck, network.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=False
    )
    ours = decode(network, levels, (boxes + 0.5).reshape(1, 2, 2).tolist())
    torch.testing.assert_close(ours.logits, theirs, atol=1e-6, rtol=1e-5)


def test_prompts_of_several_images_decode_as_one_by_one():
    network = small()
    levels = network.encode(some_pixels(SMALL, images=2))
    together = decode(network, levels, BOX[0] * 2, BOX[1] * 2).logits
    for i in range(2):
        one = type(levels)(*(None if level is None else level[i : i + 1] for level in levels))
        torch.testing.assert_close(decode(network, one).logits[0], together[i], atol=1e-5, rtol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (new_network(SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("encoder", ["vit_b", "vit_t", "starter"])
def test_a_network_without_values_has_the_tensors_of_one_with_values(encoder):
    config = mlsam(encoder)
    network = network_without_values(config)
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == meta(config)
    assert all(parameter.is_meta for parameter in network.parameters())
