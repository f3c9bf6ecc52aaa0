"""The mask decoder: SAM's two-way transformer (Kirillov et al. 2023), HQ-SAM's output token (Ke et al. 2023), and
MLSAM's fusion of three ViT levels (Chen, Liu and Wang, "Yolo-MLSAM", section 3.2).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn
from torch.nn import functional as F

from mammo.segmenter.box_prior import BoxPrior
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.encoder import Levels
from mammo.segmenter.presence import PresenceHead

ADDED = (
    "hf_token",
    "hf_mlp",
    "compress_",
    "embedding_encoder",
    "embedding_maskfeature",
    "presence",
    "box_prior",
)
"""Name prefixes of the parameters that HQ-SAM, MLSAM, the presence head and the box prior add to SAM's mask decoder."""


class Decoded(NamedTuple):
    """Output for N prompts; logits are s x s, a quarter of the input side."""

    logits: Tensor
    """N x 1 x s x s: logits of the mask, as `MlsamConfig.combine` says; positive = lesion."""

    sam: Tensor
    """N x 1 x s x s: SAM's single mask."""

    hq: Tensor | None
    """N x 1 x s x s: the HQ token's mask; None without one."""

    iou: Tensor
    """N: SAM's estimate of the IoU of its mask."""

    presence: Tensor | None
    """N: logit that the prompt marks a lesion; None without a presence head."""


class ChannelNorm(LayerNorm2d):  # type: ignore[misc]
    """segment_anything's `LayerNorm2d` as one fused operation, fast for channels-last input such as a ViT's output."""

    def forward(self, x: Tensor) -> Tensor:
        """N C H W -> N C H W, channels innermost in memory."""
        innermost = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(innermost, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


def upscale4(channels: int, middle: int, out: int) -> nn.Sequential:
    """Two stride-2 transposed convolutions (HQ-SAM's upsampler): g x g -> 4g x 4g."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels, middle, 2, 2),
        ChannelNorm(middle),
        nn.GELU(),
        nn.ConvTranspose2d(middle, out, 2, 2),
    )


class MlsamDecoder(MaskDecoder):  # type: ignore[misc]
    """MLSAM's mask decoder, with HQ-SAM's parameter names; the middle branch is `compress_mid_feat`.

        fused = up(final) + up(early) + up(middle)                         (`fuse`, once per image)
        feature = conv(decoder feature) + fused                            (global fusion)
        HQ mask = MLP(HQ token) . feature at every pixel

    It differs from HQ-SAM's code in two ways that do not change the result: the prompt-independent part of the fused
    feature is a separate method, and prompts of several images may share a batch.
    """

    def __init__(self, config: MlsamConfig) -> None:
        C = config.decoder_width
        super().__init__(
            transformer_dim=C,
            transformer=TwoWayTransformer(depth=2, embedding_dim=C, mlp_dim=8 * C, num_heads=8),
        )
        self.output_upscaling[1] = ChannelNorm(C // 4)
        self._config = config
        if config.hq_token:
            self._add_hq_token(config)
        if config.presence:
            self.presence = PresenceHead(C)
        if config.box_prior:
            self.box_prior = BoxPrior(C)

    def _add_hq_token(self, config: MlsamConfig) -> None:
        C, c = config.decoder_width, config.decoder_width // 8
        early, middle, final = config.level_widths
        self.hf_token = nn.Embedding(1, C)
        self.hf_mlp = MLP(C, C, c, 3)
        if config.early:
            self.compress_vit_feat = upscale4(early, C, c)
        if config.middle:
            self.compress_mid_feat = upscale4(middle, C, c)
        if config.final and config.final_source == "neck":
            self.embedding_encoder = upscale4(C, C // 4, c)
        elif config.final:
            self.compress_final_feat = upscale4(final, C, c)
        if config.global_fusion and config.decoder_feature:
            self.embedding_maskfeature = nn.Sequential(
                nn.Conv2d(c, 2 * c, 3, padding=1),
                ChannelNorm(2 * c),
                nn.GELU(),
                nn.Conv2d(2 * c, c, 3, padding=1),
            )

    def silence_middle(self) -> None:
        """Set the last layer of the middle branch to zero: MLSAM then starts as exactly HQ-SAM.

        Raises:
            ValueError: the configuration has no middle branch.
        """
        if not (self._config.hq_token and self._config.middle):
            raise ValueError("this configuration has no middle branch; set hq_token and middle")
        for parameter in self.compress_mid_feat[-1].parameters():
            nn.init.zeros_(parameter)

    def fuse(self, levels: Levels) -> Tensor | None:
        """Return the sum of the upscaled levels, B x decoder_width/8 x 4g x 4g; None when no level is used.

        The result does not depend on the prompt; compute it once per image.
        """
        config = self._config
        if not config.hq_token:
            return None
        parts = []
        if config.final:
            from_neck = config.final_source == "neck"
            parts.append(
                self.embedding_encoder(levels.neck) if from_neck else self.compress_final_feat(levels.final)
            )
        if config.early:
            parts.append(self.compress_vit_feat(levels.early))
        if config.middle:
            parts.append(self.compress_mid_feat(levels.middle))
        return torch.stack(parts).sum(0) if parts else None

    def forward(
        self,
        neck: Tensor,
        positions: Tensor,
        sparse: Tensor,
        dense: Tensor,
        *,
        fused: Tensor | None,
        basis: Tensor | None = None,
    ) -> Decoded:
        """Decode N prompts.

        Args:
            neck: 1 or N x C x g x g, the encoder's last level.
            positions: 1 x C x g x g, positional encoding of the grid.
            sparse: N x K x C, embedded points and box corners.
            dense: N x C x g x g, embedded mask prompt.
            fused: 1 or N x C/8 x 4g x 4g, the result of `fuse`.
            basis: N x 2 x 4g x 4g, the result of `box_basis`; None without a box prior.
        """
        N = sparse.shape[0]  # not `len`: that would fix N in an exported graph
        output_tokens = [self.iou_token.weight, self.mask_tokens.weight]
        if self._config.hq_token:
            output_tokens.append(self.hf_token.weight)
        tokens = torch.cat((torch.cat(output_tokens).expand(N, -1, -1), sparse), dim=1)

        source = neck.expand(N, -1, -1, -1) + dense
        tokens, source = self.transformer(source, positions.expand(N, -1, -1, -1), tokens)  # N . C, N gg C
        upscaled = self.output_upscaling(source.transpose(1, 2).reshape(dense.shape))  # N c 4g 4g

        # Mask token 0 is SAM's single-mask output (`multimask_output=False`).
        sam = _project(self.output_hypernetworks_mlps[0](tokens[:, 1]), upscaled)
        iou = self.iou_prediction_head(tokens[:, 0])[:, 0]
        answer = tokens[:, 1 + self.num_mask_tokens if self._config.hq_token else 1]
        presence = None
        if self._config.presence:
            presence = self.presence(answer, source, positions.flatten(2).transpose(1, 2))
        hq = self._hq_mask(self.hf_mlp(answer), upscaled, fused) if self._config.hq_token else None
        logits = sam if hq is None else {"sum": sam + hq, "hq": hq, "sam": sam}[self._config.combine]
        if basis is not None:
            logits = logits + self.box_prior(answer, basis)
        return Decoded(logits=logits, sam=sam, hq=hq, iou=iou, presence=presence)

    def _hq_mask(self, vector: Tensor, upscaled: Tensor, fused: Tensor | None) -> Tensor:
        """Project the sum of the feature sources onto the HQ token's vector; projecting before adding is cheaper."""
        masks = []
        if self._config.decoder_feature and self._config.global_fusion:
            feature = self.embedding_maskfeature[:-1](upscaled)
            masks.append(_convolve_and_project(vector, feature, self.embedding_maskfeature[-1]))
        elif self._config.decoder_feature:
            masks.append(_project(vector, upscaled))
        if fused is not None:
            masks.append(_project(vector, fused.expand(vector.shape[0], -1, -1, -1)))
        assert masks, "the configuration guarantees a feature source"
        return masks[0] if len(masks) == 1 else masks[0] + masks[1]


def _convolve_and_project(vector: Tensor, feature: Tensor, layer: nn.Module) -> Tensor:
    """Equals `_project(vector, layer(feature))` for a 3 x 3 convolution, in a quarter of the time.

    Projecting the kernel first leaves one number per tap and pixel, instead of one per channel.
    """
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None, "HQ-SAM's convolutions have a bias"
    height, width = feature.shape[-2:]
    taps = torch.einsum("nc,cdij->nijd", vector, layer.weight).flatten(1, 2)  # N 9 d
    each = torch.einsum("nkd,ndhw->nkhw", taps, feature)
    each = F.pad(each, (1, 1, 1, 1))
    mask: Tensor = (vector @ layer.bias)[:, None, None]
    for tap in range(9):
        row, column = divmod(tap, 3)
        mask = mask + each[:, tap, row : row + height, column : column + width]
    return mask[:, None]


def _project(vector: Tensor, feature: Tensor) -> Tensor:
    """N x c, N x c x H x W -> N x 1 x H x W: the scalar product at every pixel."""
    return torch.einsum("nc,nchw->nhw", vector, feature)[:, None]
