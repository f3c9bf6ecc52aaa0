from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mammo.detector.attention import (
    CBAM,
    ECA,
    AttentionKind,
    ChannelAttention,
    SpatialAttention,
    SqueezeExcitation,
    build_attention,
)

KINDS: list[AttentionKind] = ["cbam", "se", "eca", "none"]


def features(channels: int = 32) -> Tensor:
    return torch.randn(2, channels, 9, 7, generator=torch.Generator().manual_seed(1))


def test_cbam_is_the_papers_equations_4_to_11_written_out() -> None:
    torch.manual_seed(0)
    module = CBAM(32, reduction=16, kernel=7, gate_bias=0.0)
    first, last = module.channel.mlp[0], module.channel.mlp[2]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    assert first.bias is not None
    assert last.bias is not None
    F = features()

    def mlp(pooled: Tensor) -> Tensor:  # B C -> B C
        hidden = torch.relu(pooled @ first.weight[:, :, 0, 0].T + first.bias)
        return hidden @ last.weight[:, :, 0, 0].T + last.bias

    W_c = torch.sigmoid(mlp(F.mean((2, 3))) + mlp(F.flatten(2).max(2).values))[:, :, None, None]
    F_c = W_c * F
    stacked = torch.stack([F_c.mean(1), F_c.max(1).values], 1)
    M_s = torch.sigmoid(
        nn.functional.conv2d(stacked, module.spatial.conv.weight, module.spatial.conv.bias, padding=3)
    )
    torch.testing.assert_close(module(F), M_s * F_c, atol=1e-6, rtol=0)


def test_se_is_its_equation_written_out() -> None:
    """Hu et al. 2018, eq. 2-4: s = sigmoid(W2 relu(W1 z)), z the mean of each channel."""
    torch.manual_seed(0)
    module = SqueezeExcitation(32, reduction=4, gate_bias=0.0)
    first, last = module.mlp[0], module.mlp[2]
    F = features()
    hidden = torch.relu(F.mean((2, 3)) @ first.weight[:, :, 0, 0].T + first.bias)
    s = torch.sigmoid(hidden @ last.weight[:, :, 0, 0].T + last.bias)
    torch.testing.assert_close(module(F), s[:, :, None, None] * F, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("channels", "width"), [(32, 3), (64, 3), (128, 5), (256, 5), (640, 5)])
def test_eca_is_its_equation_written_out(channels: int, width: int) -> None:
    """Wang et al. 2020, eq. 9 and 12: neighbouring channels, |log2(C)/2 + 1/2| of them, next odd number."""
    torch.manual_seed(0)
    module = ECA(channels, gate_bias=0.0)
    assert module.conv.kernel_size == (width,)
    F = features(channels)
    means = nn.functional.pad(F.mean((2, 3)), (width // 2, width // 2))
    kernel = module.conv.weight[0, 0]
    sums = torch.stack([(means[:, i : i + width] * kernel).sum(1) for i in range(channels)], 1)
    gates = torch.sigmoid(sums + module.conv.bias)
    torch.testing.assert_close(module(F), gates[:, :, None, None] * F, atol=1e-6, rtol=0)


def test_channel_attention_sees_the_maximum_and_not_the_mean_alone() -> None:
    torch.manual_seed(0)
    gate = ChannelAttention(8, reduction=1, gate_bias=0.0)
    flat = torch.ones(1, 8, 4, 4)
    peaked = torch.zeros(1, 8, 4, 4)
    peaked[:, :, 2, 2] = 16.0  # the same mean
    assert not torch.allclose(gate(flat), gate(peaked))


def test_spatial_attention_gives_one_gate_a_pixel_whatever_the_number_of_channels() -> None:
    gates = SpatialAttention(kernel=7, gate_bias=0.0)(features(5))
    assert gates.shape == (2, 1, 9, 7)
    assert bool(((gates > 0) & (gates < 1)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_attention_keeps_the_shape_of_its_features(kind: AttentionKind) -> None:
    assert build_attention(kind, 48)(features(48)).shape == (2, 48, 9, 7)


@pytest.mark.parametrize("kind", ["cbam", "se", "eca"])
def test_a_gate_bias_of_4_starts_almost_open_and_no_bias_halves_what_passes(kind: AttentionKind) -> None:
    torch.manual_seed(0)
    F = features()
    with torch.inference_mode():
        opened = build_attention(kind, 32, gate_bias=4.0)(F)
        closed = build_attention(kind, 32, gate_bias=0.0)(F)
    assert float(opened.norm() / F.norm()) > 0.95
    assert float(closed.norm() / F.norm()) < 0.7


def test_none_is_the_identity() -> None:
    F = features()
    assert build_attention("none", 32)(F) is F
