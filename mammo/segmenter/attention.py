"""Exact attention with decomposed relative positions, without the full N x N x heads bias tensor."""

from __future__ import annotations

import torch
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch import Tensor
from torch.nn import functional as F

MAX_BIAS = 2**22
"""Maximum number of elements of the position bias in one call; 16 MiB in float32."""

MAX_BIAS_TRACED = 2**24
"""The same during the export of a graph, in which every call becomes a node."""


class LowMemoryAttention(Attention):  # type: ignore[misc]
    """segment_anything's `Attention` with the same parameters and, up to rounding, the same result.

    The bias of decomposed relative positions (Li et al. 2022, MViTv2),

        b[i, j] = q_i . (R_h[y_i - y_j] + R_w[x_i - x_j]),

    is added inside torch's fused attention. On the CPU this is done for one head and one group of query rows at a time,
    so that the bias fits into the cache. Figures: docs/benchmarks.md.
    """

    @classmethod
    def like(cls, attention: Attention) -> LowMemoryAttention:
        """Build a layer of the same shape with new parameters."""
        return cls(
            attention.qkv.in_features,
            num_heads=attention.num_heads,
            qkv_bias=attention.qkv.bias is not None,
            use_rel_pos=True,
            input_size=(len(attention.rel_pos_h) // 2 + 1, len(attention.rel_pos_w) // 2 + 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """B H W C -> B H W C."""
        B, H, W, _ = x.shape
        N = H * W
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # B n N c
        grid = q.reshape(B, self.num_heads, H, W, -1)
        bias_h = torch.einsum("bnhwc,hkc->bnhwk", grid, get_rel_pos(H, H, self.rel_pos_h))  # B n H W H
        bias_w = torch.einsum("bnhwc,wkc->bnhwk", grid, get_rel_pos(W, W, self.rel_pos_w))  # B n H W W

        def mix(heads: slice, rows: slice) -> Tensor:
            bias = bias_h[:, heads, rows, :, :, None] + bias_w[:, heads, rows, :, None, :]  # B . . W H W
            return F.scaled_dot_product_attention(
                q[:, heads, rows.start * W : rows.stop * W],
                k[:, heads],
                v[:, heads],
                attn_mask=bias.flatten(4, 5).flatten(2, 3),
                scale=self.scale,
            )

        num_heads, num_rows = self._group(x)
        mixed = [
            _joined([mix(heads, rows) for rows in _slices(H, num_rows)], dim=2)
            for heads in _slices(self.num_heads, num_heads)
        ]
        out: Tensor = self.proj(_joined(mixed, dim=1).transpose(1, 2).reshape(B, H, W, -1))
        return out

    def _group(self, x: Tensor) -> tuple[int, int]:
        """Number of heads and of query rows per call."""
        B, H, W, _ = x.shape
        traced = torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        heads = 1 if x.device.type == "cpu" and not traced else self.num_heads
        limit = MAX_BIAS_TRACED if traced else MAX_BIAS
        return heads, max(1, min(H, limit // (B * heads * W * H * W)))


def _slices(length: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, length)) for i in range(0, length, step)]


def _joined(parts: list[Tensor], *, dim: int) -> Tensor:
    return torch.cat(parts, dim=dim) if len(parts) > 1 else parts[0]
