"""TinyViT (Wu et al. 2022) as MobileSAM's image encoder (Zhang et al. 2023), with MobileSAM's parameter names."""

from __future__ import annotations

from collections import OrderedDict
from typing import Self

import torch
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.image_encoder import window_partition, window_unpartition
from torch import Tensor, nn
from torch.nn import functional as F

from mammo.segmenter.config import MlsamConfig, Pyramid
from mammo.segmenter.encoder import Levels


class Convolution(nn.Sequential):
    """A convolution without bias, and a batch norm that always uses its running statistics.

    A batch of four regions is too small to estimate mean and variance: fine-tuning trains weight and bias of the norm
    and leaves the statistics unchanged.
    """

    def __init__(self, before: int, after: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(OrderedDict(c=conv, bn=nn.BatchNorm2d(after)))
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever `mode` is."""
        return super().train(False)


class InvertedBottleneck(nn.Module):
    """Inverted bottleneck: 1 x 1 expansion, 3 x 3 depthwise, 1 x 1 projection, with a shortcut. B C H W -> B C H W."""

    def __init__(self, width: int, *, expansion: int) -> None:
        super().__init__()
        hidden = width * expansion
        self.conv1 = Convolution(width, hidden)
        self.conv2 = Convolution(hidden, hidden, 3, groups=hidden)
        self.conv3 = Convolution(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))) + x)


class Downsampling(nn.Module):
    """Transition between two stages. B C H W -> B C' H/stride W/stride."""

    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = Convolution(before, after)
        self.conv2 = Convolution(after, after, 3, stride=stride, groups=after)
        self.conv3 = Convolution(after, after)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class WindowAttention(nn.Module):
    """Attention within a window, with one learned bias per (|dy|, |dx|). B N C -> B N C, N = window * window."""

    attention_bias_idxs: Tensor

    def __init__(self, width: int, *, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        # On the CPU in any case: a network on the meta device later receives parameters, but not this buffer.
        number = torch.arange(window * window, device="cpu")
        y, x = number // window, number % window
        offsets = (y[:, None] - y).abs() * window + (x[:, None] - x).abs()
        self.register_buffer("attention_bias_idxs", offsets, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        # The projection is grouped by head: queries, keys and values of a head are adjacent.
        q, k, v = self.qkv(self.norm(x)).reshape(B, N, self.heads, 3, -1).permute(3, 0, 2, 1, 4).unbind(0)
        bias = self.attention_biases[:, self.attention_bias_idxs]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(B, N, C))
        return out


class Perceptron(nn.Module):
    """MLP: LayerNorm, expansion, GELU, projection."""

    def __init__(self, width: int, *, expansion: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width * expansion)
        self.fc2 = nn.Linear(width * expansion, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class Block(nn.Module):
    """Window attention, a 3 x 3 depthwise convolution that connects the windows, an MLP. B C H W -> B C H W."""

    def __init__(self, width: int, *, heads: int, window: int, expansion: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(width, heads=heads, window=window)
        self.local_conv = Convolution(width, width, 3, groups=width)
        self.mlp = Perceptron(width, expansion=expansion)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)  # B H W C
        windows, padded = window_partition(tokens, self.window)
        attended = self.attn(windows.flatten(1, 2)).reshape(windows.shape)
        tokens = tokens + window_unpartition(attended, self.window, padded, tokens.shape[1:3])
        tokens = self.local_conv(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        out: Tensor = tokens + self.mlp(tokens)
        return out.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Blocks of one width; except in the last stage, followed by the transition to the next."""

    def __init__(self, blocks: list[nn.Module], downsample: Downsampling | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class PatchEmbedding(nn.Module):
    """Two stride-2 convolutions. B 3 S S -> B C S/4 S/4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            Convolution(3, width // 2, 3, stride=2), nn.GELU(), Convolution(width // 2, width, 3, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.seq(x)
        return out


class TinyViT(nn.Module):
    """MobileSAM's encoder without its unused classifier. Without positional embedding, any input size is possible."""

    def __init__(self, config: MlsamConfig) -> None:
        super().__init__()
        shape = config.vit
        assert isinstance(shape, Pyramid)
        C = config.decoder_width
        self.patch_embed = PatchEmbedding(shape.widths[0])
        self.layers = nn.ModuleList(_stage(shape, i) for i in range(len(shape.widths)))
        self.neck = nn.Sequential(
            nn.Conv2d(shape.widths[-1], C, 1, bias=False),
            LayerNorm2d(C),
            nn.Conv2d(C, C, 3, padding=1, bias=False),
            LayerNorm2d(C),
        )
        self._used_levels = config.used_levels
        self._taps = config.taps

    def forward(self, x: Tensor) -> Levels:
        """Encode B x 3 x S x S normalised pixels."""
        x = self.patch_embed(x.contiguous(memory_format=torch.channels_last))
        tapped: dict[int, Tensor] = {}
        for number, stage in enumerate(self.layers, start=1):
            x = stage(x)
            tapped[number] = x
        early, middle, final = (
            tapped[tap] if used else None for tap, used in zip(self._taps, self._used_levels, strict=True)
        )
        return Levels(neck=self.neck(x), early=early, middle=middle, final=final)


def _stage(shape: Pyramid, i: int) -> Stage:
    width, last = shape.widths[i], i + 1 == len(shape.widths)
    blocks: list[nn.Module] = [
        Block(width, heads=shape.heads[i], window=shape.windows[i], expansion=shape.expansion)
        if shape.windows[i]
        else InvertedBottleneck(width, expansion=shape.expansion)
        for _ in range(shape.depths[i])
    ]
    downsample = None if last else Downsampling(width, shape.widths[i + 1], stride=shape.strides[i])
    return Stage(blocks, downsample)
