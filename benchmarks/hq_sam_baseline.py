"""The baseline of our mask decoder: HQ-SAM's, with the arithmetic of its authors' code."""

from __future__ import annotations

from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn

from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.decoder import ChannelNorm, MlsamDecoder


class PublishedDecoder(MlsamDecoder):
    """The same output, by segment-anything's layer norm and the product of the token with the whole fused feature."""

    def __init__(self, config: MlsamConfig) -> None:
        super().__init__(config)
        _stock_norms(self)

    def _hq_mask(self, vector: Tensor, upscaled: Tensor, fused: Tensor | None) -> Tensor:
        feature: Tensor = self.embedding_maskfeature(upscaled)
        if fused is not None:
            feature = feature + fused
        count, channels, height, width = feature.shape
        return (vector[:, None] @ feature.view(count, channels, -1)).view(count, 1, height, width)


def published(decoder: MlsamDecoder, config: MlsamConfig) -> PublishedDecoder:
    """A decoder with the same weights and the arithmetic of HQ-SAM's code."""
    stock = PublishedDecoder(config)
    stock.load_state_dict(decoder.state_dict())
    return stock.eval()


def _stock_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, ChannelNorm):
            setattr(module, name, LayerNorm2d(len(child.weight)))
        else:
            _stock_norms(child)
