"""Presence: does a prompt mean a lesion at all? One logit, read off the decoder without changing any mask."""

from __future__ import annotations

from segment_anything.modeling.mask_decoder import MLP
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn


class PresenceHead(nn.Module):
    """SAM always paints something; this head says whether there was anything to paint.

    The question of SAM 2's object score (Ravi et al. 2024, section 4), answered differently: its token takes part in
    the two-way transformer and thereby changes every mask; ours only reads the transformer's result,

        seen = attention(query = answer + token, keys = source + positions, values = source)
        logit = MLP(LayerNorm(answer + token + seen)),

    so masks are bit-equal with and without it, and it can be trained on top of weights that never knew it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Embedding(1, width)
        self.attention = Attention(width, num_heads=8, downsample_rate=2)
        self.norm = nn.LayerNorm(width)
        self.mlp = MLP(width, width, 1, 3)

    def forward(self, answer: Tensor, source: Tensor, positions: Tensor) -> Tensor:
        """One logit for each of N prompts; positive = a lesion is there.

        Args:
            answer: N x C, the HQ token, or SAM's mask token without one, after the two-way transformer.
            source: N x g*g x C, the grid after the two-way transformer.
            positions: 1 or N x g*g x C, its positional encoding.
        """
        query = (answer + self.token.weight)[:, None]
        seen = self.attention(q=query, k=source + positions, v=source)
        logit: Tensor = self.mlp(self.norm(query + seen))
        return logit[:, 0, 0]
