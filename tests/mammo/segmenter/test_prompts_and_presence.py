"""What the decoder takes and gives beside points, boxes and masks: previous logits in, presence out."""

import pytest
import torch

from mammo.segmenter.network import BOTTOM_RIGHT, TOP_LEFT
from tests.mammo.segmenter.networks import SMALL, small, some_pixels

COORDINATES = torch.tensor([[[8.0, 8.0], [40.0, 30.0]], [[30.0, 20.0], [60.0, 60.0]]])
LABELS = torch.tensor([[TOP_LEFT, BOTTOM_RIGHT]] * 2)


def decode(network, **previous):
    levels = network.encode(some_pixels(SMALL))
    return network.decode(levels.neck, network.fuse(levels), COORDINATES, LABELS, **previous)


def some_logits(num_prompts=2):
    return 5 * torch.randn(num_prompts, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def test_without_a_head_there_is_no_presence():
    assert decode(small()).presence is None


@pytest.mark.parametrize("hq_token", [True, False])
def test_presence_is_one_logit_a_prompt_and_depends_on_the_prompt(hq_token):
    presence = decode(small(presence=True, hq_token=hq_token, combine="sum" if hq_token else "sam")).presence
    assert presence.shape == (2,)
    assert presence[0] != presence[1]


def test_a_presence_head_changes_no_mask():
    plain, headed = small(), small(presence=True)
    missing, unexpected = headed.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert missing
    assert all(name.startswith("mask_decoder.presence.") for name in missing)
    for without, with_head in zip(decode(plain)[:4], decode(headed)[:4], strict=True):
        assert torch.equal(without, with_head)


@pytest.mark.parametrize("policy", ["hq", "decoder", "all"])
def test_every_policy_trains_the_presence_head(policy):
    network = small(presence=True)
    trained = set(map(id, network.set_trainable(policy)))
    head = dict(network.mask_decoder.presence.named_parameters())
    assert {id(parameter) for parameter in head.values()} <= trained
    decode(network).presence.sum().backward()
    for name, parameter in head.items():
        # A bias of the keys moves every score alike: softmax gives it no gradient but rounding.
        assert parameter.grad is not None, name
        assert name == "attention.k_proj.bias" or parameter.grad.abs().sum() > 0, name


def test_presence_learns_to_tell_a_bright_region_from_an_empty_one():
    network = small(presence=True)
    pixels = torch.zeros(2, 3, 64, 64)
    pixels[0, :, 24:40, 24:40] = 2.0
    with torch.no_grad():
        levels = network.encode(pixels)
        fused = network.fuse(levels)
    box, truth = COORDINATES[:1].expand(2, -1, -1), torch.tensor([1.0, 0.0])
    optimizer = torch.optim.Adam(network.set_trainable("hq"), lr=1e-2)
    for _ in range(30):
        presence = network.decode(levels.neck, fused, box, LABELS).presence
        loss = torch.nn.functional.binary_cross_entropy_with_logits(presence, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert presence[0] > 1
    assert presence[1] < -1


def test_previous_logits_are_embedded_as_segment_anything_does():
    network = small()
    _, theirs = network.prompt_encoder(None, torch.zeros(2, 4), some_logits())
    assert torch.equal(network._embed_previous(2, some_logits(), None), theirs)


def test_previous_logits_change_the_mask():
    network = small()
    assert not torch.equal(decode(network, previous=some_logits()).logits, decode(network).logits)


def test_known_says_prompt_by_prompt_whose_previous_logits_count():
    network = small()
    mixed = decode(network, previous=some_logits(), has_previous=torch.tensor([True, False])).logits
    torch.testing.assert_close(mixed[0], decode(network, previous=some_logits()).logits[0])
    torch.testing.assert_close(mixed[1], decode(network).logits[1])


@pytest.mark.parametrize("shape", [(2, 16, 16), (1, 1, 16, 16), (2, 1, 64, 64), (2, 4, 16, 16)])
def test_previous_logits_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="expected previous logits of shape"):
        decode(small(), previous=torch.zeros(shape))


def test_has_previous_without_previous_logits_is_refused():
    with pytest.raises(ValueError, match="give `previous` too"):
        decode(small(), has_previous=torch.tensor([True, False]))
