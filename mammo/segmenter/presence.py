"""Presence head: one logit for whether a prompt marks a lesion, computed without changing the masks."""

from __future__ import annotations

from segment_anything.modeling.mask_decoder import MLP
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn


class PresenceHead(nn.Module):
    """Estimates whether there is a lesion at a prompt; SAM itself always returns a mask.

    The purpose is that of SAM 2's object score (Ravi et al. 2024, section 4). The token of SAM 2 takes part in the
    two-way transformer and thereby changes every mask. This head only reads the result of the transformer,

        attended = attention(query = answer + token, keys = source + positions, values = source)
        logit = MLP(LayerNorm(answer + token + attended)),

    so masks are bit-equal with and without it, and it can be added to trained weights.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Embedding(1, width)
        self.attention = Attention(width, num_heads=8, downsample_rate=2)
        self.norm = nn.LayerNorm(width)
        self.mlp = MLP(width, width, 1, 3)

    def forward(self, answer: Tensor, source: Tensor, positions: Tensor) -> Tensor:
        """Return one logit for each of N prompts; positive = lesion.

        Args:
            answer: N x C, the HQ token, or SAM's mask token without one, after the two-way transformer.
            source: N x g*g x C, the grid after the two-way transformer.
            positions: 1 or N x g*g x C, the positional encoding of the grid.
        """
        query = (answer + self.token.weight)[:, None]
        attended = self.attention(q=query, k=source + positions, v=source)
        logit: Tensor = self.mlp(self.norm(query + attended))
        return logit[:, 0, 0]
