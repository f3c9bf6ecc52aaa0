"""Carry weights into another configuration: a larger method, another input size; never another encoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mammo.errors import InvalidWeights
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import Mlsam, new_network

PUBLIC = "public"
"""The fact that holds the catalogue name of converted public weights."""


def adapted(network: Mlsam, config: MlsamConfig, *, seed: int) -> Mlsam:
    """A new network of another configuration with every tensor that both share.

    Position embeddings are interpolated once, here, to the new input size. What only `config` has starts fresh, but
    for the middle branch, whose last layer starts at zero: MLSAM computes exactly HQ-SAM and learns from there. What
    only `network` has is left out.

    Raises:
        InvalidWeights: the encoder or the decoder's width differs (code `other_encoder`).
    """
    old = network.config
    if (old.encoder, old.decoder_width) != (config.encoder, config.decoder_width):
        raise InvalidWeights(
            f"the weights hold encoder {old.encoder!r} with a decoder of width {old.decoder_width}, the configuration "
            f"asks for {config.encoder!r} and {config.decoder_width}: start from weights of {config.encoder!r} "
            "(`yolo-mlsam weights list`), or choose a recipe of the weights' own encoder",
            code="other_encoder",
        )
    made = new_network(config, seed=seed)
    if config.hq_token and config.middle:
        made.mask_decoder.silence_middle()
    target, source = made.state_dict(), network.state_dict()
    with torch.no_grad():
        for name in target.keys() & source.keys():
            target[name].copy_(_fitted(name, source[name], target[name].shape))
    return made.train(network.training)


def _fitted(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """The tensor in that shape; only positions may differ, by the input size."""
    if tensor.shape == shape:
        return tensor
    if name.endswith("pos_embed"):  # 1 x g x g x C
        grid = F.interpolate(
            tensor.permute(0, 3, 1, 2), shape[1:3], mode="bicubic", antialias=True, align_corners=False
        )
        return grid.permute(0, 2, 3, 1)
    # 2g - 1 distances x C; what segment_anything's `get_rel_pos` would do again in every call.
    assert name.endswith(("rel_pos_h", "rel_pos_w")), f"{name} depends on nothing but encoder and width"
    return F.interpolate(tensor.T[None], shape[0], mode="linear")[0].T
