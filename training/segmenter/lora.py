"""LoRA on the later half of the encoder, merged into plain weights before they are saved.

W' = W + B A        (Hu et al. 2022, LoRA, eq. 3), for queries and values as in SAMed (Zhang and Liu 2023)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mammo.segmenter.encoder import Encoder
from mammo.segmenter.network import Mlsam


class LowRankQkv(nn.Module):
    """The layer of queries, keys and values of one attention, with low-rank changes of queries and values.

    `down` is A, `up` is B. B is zero at first, so the network is unchanged.
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
        """An equivalent plain layer."""
        with torch.no_grad():
            q, v = (up @ down for down, up in zip(self.down, self.up, strict=True))
            change = torch.cat([q, torch.zeros_like(q), v])
            plain = nn.Linear(self.frozen.in_features, self.frozen.out_features, device=change.device)
            plain.weight.copy_(self.frozen.weight + change)
            plain.bias.copy_(self.frozen.bias)
        return plain


def add_lora(network: Mlsam, *, rank: int, seed: int) -> list[nn.Parameter]:
    """Add low-rank changes to every block after the middle tap; returns their parameters."""
    generator = torch.Generator().manual_seed(seed)
    trained: list[nn.Parameter] = []
    for block in _later_blocks(network):
        block.attn.qkv = LowRankQkv(block.attn.qkv, rank=rank, generator=generator)
        trained += [*block.attn.qkv.down, *block.attn.qkv.up]
    return trained


def merge_lora(network: Mlsam) -> None:
    """Merge the low-rank changes, if any, into plain weights."""
    for block in _later_blocks(network):
        if isinstance(block.attn.qkv, LowRankQkv):
            block.attn.qkv = block.attn.qkv.merged()


def _later_blocks(network: Mlsam) -> list[Any]:
    """The blocks after the middle tap; none for a TinyViT."""
    encoder = network.image_encoder
    return list(encoder.blocks)[network.config.taps[1] :] if isinstance(encoder, Encoder) else []
