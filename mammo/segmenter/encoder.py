"""The image encoder: SAM's ViT (Kirillov et al. 2023) that also returns its early, middle and final blocks."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from mammo.segmenter.attention import LowMemoryAttention
from mammo.segmenter.config import STRIDE, MlsamConfig, ViT


class Levels(NamedTuple):
    """Outputs of the encoder, all with stride 16 (g = input side / 16).

    The channels of the last three are `MlsamConfig.level_widths`.
    """

    neck: Tensor
    """B x decoder_width x g x g."""

    early: Tensor | None
    """B x width x g x g, block depth/4 (TinyViT: stage 2); None when the configuration does not use it."""

    middle: Tensor | None
    """B x width x g x g, block depth/2 (TinyViT: stage 3)."""

    final: Tensor | None
    """B x width x g x g, the last block before the neck; only for `final_source="block"`."""


class ConvolutionStem(nn.Module):
    """Four stride-2 convolutions (Xiao et al. 2021) instead of the 16 x 16 projection. B 3 H W -> B H/16 W/16 C."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = (3, width // 8, width // 4, width // 2, width)
        layers: list[nn.Module] = []
        for i in range(4):
            layers += [
                nn.Conv2d(channels[i], channels[i + 1], 3, stride=2, padding=1),
                nn.GroupNorm(4, channels[i + 1]),
                nn.GELU(),
            ]
        self.proj = nn.Sequential(*layers, nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out.permute(0, 2, 3, 1)


class Encoder(ImageEncoderViT):  # type: ignore[misc]
    """segment_anything's ViT with its parameter names; positional embeddings have the size of the input in use."""

    def __init__(self, config: MlsamConfig) -> None:
        vit = config.vit
        assert isinstance(vit, ViT)
        super().__init__(
            img_size=config.input_size,
            patch_size=STRIDE,
            embed_dim=vit.width,
            depth=vit.depth,
            num_heads=vit.heads,
            out_chans=config.decoder_width,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=vit.window,
            global_attn_indexes=tuple(block - 1 for block in vit.global_blocks),
        )
        for block in self.blocks:
            block.attn = LowMemoryAttention.like(block.attn)
        if vit.stem == "convolutions":
            self.patch_embed = ConvolutionStem(vit.width)

        # Blocks are numbered from 1; 0 marks a level that is not used.
        self._early, self._middle, self._final = (
            tap if used else 0 for tap, used in zip(config.taps, config.used_levels, strict=True)
        )

    def forward(self, x: Tensor) -> Levels:
        """Encode B x 3 x S x S normalised pixels, S = the configuration's `input_size`."""
        x = self.patch_embed(x) + self.pos_embed  # B g g C
        tapped: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in (self._early, self._middle, self._final):
                tapped[number] = x.permute(0, 3, 1, 2)
        return Levels(
            neck=self.neck(x.permute(0, 3, 1, 2)),
            early=tapped.get(self._early),
            middle=tapped.get(self._middle),
            final=tapped.get(self._final),
        )
