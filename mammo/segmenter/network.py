"""Mlsam: encoder, prompt encoder and mask decoder under one roof, with SAM's parameter names."""

from __future__ import annotations

from typing import Literal

import torch
from segment_anything.modeling import PromptEncoder
from torch import Tensor, nn

from mammo.segmenter.config import MlsamConfig, ViT
from mammo.segmenter.decoder import ADDED, Decoded, MlsamDecoder
from mammo.segmenter.encoder import Encoder, Levels
from mammo.segmenter.tiny_vit import TinyViT

Policy = Literal["hq", "decoder", "all"]
"""What a training run may change: what HQ-SAM, MLSAM and the presence head add, the whole mask decoder, or
everything. SAM's prompt encoder, previous logits included, is changed only by `all`."""

PADDING, NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3
"""Labels of prompt coordinates, as in segment_anything's ONNX export."""


class Mlsam(nn.Module):
    """Chen, Liu, Wang: "Yolo-MLSAM", section 3.2, on segment_anything's modules."""

    def __init__(self, config: MlsamConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = Encoder(config) if isinstance(config.vit, ViT) else TinyViT(config)
        self.prompt_encoder = PromptEncoder(
            embed_dim=config.decoder_width,
            image_embedding_size=(config.grid, config.grid),
            input_image_size=(config.input_size, config.input_size),
            mask_in_chans=16,
        )
        self.mask_decoder = MlsamDecoder(config)

    def encode(self, pixels: Tensor) -> Levels:
        """B x 3 x S x S normalised pixels -> the levels that the decoder takes."""
        levels: Levels = self.image_encoder(pixels)
        return levels

    def fuse(self, levels: Levels) -> Tensor | None:
        """The prompt-independent part of the fused feature; see `MlsamDecoder.fuse`."""
        fused: Tensor | None = self.mask_decoder.fuse(levels)
        return fused

    def decode(
        self,
        neck: Tensor,
        fused: Tensor | None,
        coordinates: Tensor,
        labels: Tensor,
        *,
        previous: Tensor | None = None,
        known: Tensor | None = None,
    ) -> Decoded:
        """Masks of N prompts.

        Args:
            neck, fused: of one image (1 x ...) or of each prompt's image (N x ...).
            coordinates: N x K x 2, (x, y) in the continuous frame of the input: the first pixel's centre is (0.5, 0.5).
            labels: N x K, one of the labels above; `PADDING` entries have no position.
            previous: N x 1 x 4g x 4g, `Decoded.logits` of the prompt before, which this one corrects.
            known: N, bool: whose `previous` counts; None: all of them.

        Raises:
            ValueError: `previous` has another shape, or `known` comes without it.
        """
        sparse = self._embed(coordinates, labels)
        dense = self._embed_previous(sparse.shape[0], previous, known)
        positions = self.prompt_encoder.get_dense_pe()
        decoded: Decoded = self.mask_decoder(neck, positions, sparse, dense, fused=fused)
        return decoded

    def _embed_previous(self, num_prompts: int, previous: Tensor | None, known: Tensor | None) -> Tensor:
        """N x C x g x g: SAM's mask prompt, or its learned stand-in for no mask."""
        grid = self.config.grid
        nothing: Tensor = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(
            num_prompts, -1, grid, grid
        )
        if previous is None:
            if known is not None:
                raise ValueError("`known` says whose previous logits count; there are none")
            return nothing
        expected = (num_prompts, 1, 4 * grid, 4 * grid)
        if tuple(previous.shape) != expected:
            raise ValueError(f"previous logits are {expected}, got {tuple(previous.shape)}")
        embedded: Tensor = self.prompt_encoder.mask_downscaling(previous)
        return embedded if known is None else torch.where(known[:, None, None, None], embedded, nothing)

    def _embed(self, coordinates: Tensor, labels: Tensor) -> Tensor:
        """Points and box corners in one N x K x C tensor; PromptEncoder itself keeps them apart, with equal values."""
        encoder = self.prompt_encoder
        size = (self.config.input_size, self.config.input_size)
        positions: Tensor = encoder.pe_layer.forward_with_coords(coordinates, size)
        kinds = torch.cat([encoder.not_a_point_embed.weight, *(e.weight for e in encoder.point_embeddings)])
        return positions * (labels != PADDING)[..., None] + kinds[labels + 1]

    def allow(self, policy: Policy) -> list[nn.Parameter]:
        """Freeze what `policy` does not train and return what it does."""
        trained = []
        for name, parameter in self.named_parameters():
            short = name.removeprefix("mask_decoder.")
            in_decoder = short != name
            parameter.requires_grad_(
                policy == "all" or (in_decoder and (policy == "decoder" or short.startswith(ADDED)))
            )
            if parameter.requires_grad:
                trained.append(parameter)
        return trained


def new_network(config: MlsamConfig, *, seed: int) -> Mlsam:
    """A network with fresh weights; the same seed gives the same weights and leaves torch's own generator alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Mlsam(config)
        if isinstance(network.image_encoder, Encoder):
            nn.init.trunc_normal_(network.image_encoder.pos_embed, std=0.02)
    return network
