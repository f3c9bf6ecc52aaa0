"""LoRA on the later half of the encoder: a low-rank change of the queries and values, merged before it is saved."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mammo.segmenter.encoder import Encoder
from mammo.segmenter.network import Mlsam


class LowRankQkv(nn.Module):
    """W' = W + B A for the queries and the values of one attention (Hu et al. 2022; Zhang and Liu 2023, SAMed).

    B starts at zero, so the network starts as it was.
    """

    def __init__(self, frozen: nn.Linear, *, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        width = frozen.in_features
        self.frozen = frozen
        self.down = nn.ParameterList(
            nn.Parameter(torch.randn(rank, width, generator=generator) / width**0.5) for _ in "qv"
        )
        self.up = nn.ParameterList(nn.Parameter(torch.zeros(width, rank)) for _ in "qv")

    def forward(self, x: Tensor) -> Tensor:
        """... x width -> ... x 3 width: queries, keys, values."""
        q, v = (x @ down.T @ up.T for down, up in zip(self.down, self.up, strict=True))
        out: Tensor = self.frozen(x)
        return out + torch.cat([q, torch.zeros_like(q), v], dim=-1)

    def merged(self) -> nn.Linear:
        """One plain layer that computes the same."""
        with torch.no_grad():
            q, v = (up @ down for down, up in zip(self.down, self.up, strict=True))
            change = torch.cat([q, torch.zeros_like(q), v])
            plain = nn.Linear(self.frozen.in_features, self.frozen.out_features, device=change.device)
            plain.weight.copy_(self.frozen.weight + change)
            plain.bias.copy_(self.frozen.bias)
        return plain


def add_lora(network: Mlsam, *, rank: int, seed: int) -> list[nn.Parameter]:
    """Put the low-rank change into every block after the middle tap; returns what it trains."""
    generator = torch.Generator().manual_seed(seed)
    trained: list[nn.Parameter] = []
    for block in _later(network):
        block.attn.qkv = LowRankQkv(block.attn.qkv, rank=rank, generator=generator)
        trained += [*block.attn.qkv.down, *block.attn.qkv.up]
    return trained


def merge_lora(network: Mlsam) -> None:
    """Turn the low-rank changes into plain weights; without any, nothing happens."""
    for block in _later(network):
        if isinstance(block.attn.qkv, LowRankQkv):
            block.attn.qkv = block.attn.qkv.merged()


def _later(network: Mlsam) -> list[Any]:
    """The blocks after the middle tap; a TinyViT has none."""
    encoder = network.image_encoder
    return list(encoder.blocks)[network.config.taps[1] :] if isinstance(encoder, Encoder) else []
