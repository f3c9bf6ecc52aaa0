"""Attention modules of the detector: CBAM (Woo et al. 2018), and SE and ECA for the paper's Table 1.

Equation numbers are those of Chen, Liu and Wang, "Yolo-MLSAM". Every module maps B C H W to B C H W and scales the
features by gates in (0, 1). A randomly initialised sigmoid gate starts near 0.5 and halves the features. On pretrained
layers use `PRETRAINED_GATE_BIAS`, with which the gate starts open (0.98).

The paper does not state the reduction of the shared MLP. We use 16, with at least 8 hidden units, because the early
layers of YOLOv8-n have only 32 channels.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

AttentionKind = Literal["cbam", "se", "eca", "none"]

PRETRAINED_GATE_BIAS = 4.0
"""`gate_bias` for layers that were trained without attention."""

MIN_HIDDEN = 8
"""Minimum number of hidden units of the MLP."""


def _bottleneck(channels: int, reduction: int, bias: float) -> nn.Sequential:
    """Two 1 x 1 convolutions with a ReLU between them; with a non-zero `bias` the output starts as that constant."""
    hidden = max(MIN_HIDDEN, channels // reduction)
    last = nn.Conv2d(hidden, channels, 1)
    if bias:
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, bias)  # type: ignore[arg-type]
    return nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), last)


class ChannelAttention(nn.Module):
    """W_c(F) = sigmoid(MLP(AvgPool(F)) + MLP(MaxPool(F))), with one shared MLP (eq. 4-6)."""

    def __init__(self, channels: int, *, reduction: int, gate_bias: float) -> None:
        super().__init__()
        self.mlp = _bottleneck(channels, reduction, gate_bias / 2)  # the two branches are added

    def forward(self, features: Tensor) -> Tensor:
        """B C H W -> gates B C 1 1."""
        average = features.mean((2, 3), keepdim=True)  # eq. 4
        maximum = features.amax((2, 3), keepdim=True)  # eq. 5
        return torch.sigmoid(self.mlp(average) + self.mlp(maximum))  # eq. 6


class SpatialAttention(nn.Module):
    """M_s(F) = sigmoid(f7x7([mean over C; max over C])) (eq. 7-9)."""

    def __init__(self, *, kernel: int, gate_bias: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2)
        if gate_bias:
            nn.init.zeros_(self.conv.weight)
        nn.init.constant_(self.conv.bias, gate_bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """B C H W -> gates B 1 H W."""
        average = features.mean(1, keepdim=True)  # eq. 7
        maximum = features.amax(1, keepdim=True)  # eq. 8
        return torch.sigmoid(self.conv(torch.cat([average, maximum], 1)))  # eq. 9


class CBAM(nn.Module):
    """F_c = W_c(F) * F ; F_out = M_s(F_c) * F_c (eq. 10-11): channel attention, then spatial attention."""

    def __init__(self, channels: int, *, reduction: int, kernel: int, gate_bias: float) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction=reduction, gate_bias=gate_bias)
        self.spatial = SpatialAttention(kernel=kernel, gate_bias=gate_bias)

    def forward(self, features: Tensor) -> Tensor:
        refined: Tensor = self.channel(features) * features  # eq. 10
        attended: Tensor = self.spatial(refined) * refined  # eq. 11
        return attended


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): F_out = sigmoid(MLP(AvgPool(F))) * F."""

    def __init__(self, channels: int, *, reduction: int, gate_bias: float) -> None:
        super().__init__()
        self.mlp = _bottleneck(channels, reduction, gate_bias)

    def forward(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.mlp(features.mean((2, 3), keepdim=True))) * features


class ECA(nn.Module):
    """Efficient channel attention (Wang et al. 2020): F_out = sigmoid(conv1d over channels(AvgPool(F))) * F.

    The kernel size follows from the number of channels. Unlike the original, the convolution has a bias, so that the
    gate can start open.
    """

    def __init__(self, channels: int, *, gate_bias: float) -> None:
        super().__init__()
        width = int((math.log2(channels) + 1) / 2)
        self.conv = nn.Conv1d(1, 1, width | 1, padding=(width | 1) // 2)
        if gate_bias:
            nn.init.zeros_(self.conv.weight)
        nn.init.constant_(self.conv.bias, gate_bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        gates: Tensor = torch.sigmoid(self.conv(features.mean((2, 3)).unsqueeze(1)))  # B 1 C
        return gates.squeeze(1)[..., None, None] * features


def build_attention(
    kind: AttentionKind, channels: int, *, reduction: int = 16, kernel: int = 7, gate_bias: float = 0.0
) -> nn.Module:
    """Build one attention module.

    Args:
        kind: which module; `none` is the identity.
        channels: of the input features.
        reduction: channels per hidden unit of the MLP (CBAM, SE).
        kernel: side of the spatial convolution (CBAM), odd.
        gate_bias: initial logit of every gate; 0 keeps the random initialisation.
    """
    match kind:
        case "cbam":
            return CBAM(channels, reduction=reduction, kernel=kernel, gate_bias=gate_bias)
        case "se":
            return SqueezeExcitation(channels, reduction=reduction, gate_bias=gate_bias)
        case "eca":
            return ECA(channels, gate_bias=gate_bias)
        case "none":
            return nn.Identity()
