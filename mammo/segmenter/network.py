"""Mlsam: encoder, prompt encoder and mask decoder in one network, with SAM's parameter names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from segment_anything.modeling import PromptEncoder
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mammo.segmenter.box_prior import box_basis
from mammo.segmenter.config import MlsamConfig, ViT
from mammo.segmenter.decoder import ADDED, Decoded, MlsamDecoder
from mammo.segmenter.encoder import Encoder, Levels
from mammo.segmenter.tiny_vit import TinyViT

Policy = Literal["hq", "decoder", "all"]
"""Parameters that a training run changes: those that HQ-SAM, MLSAM and the presence head add (`hq`), the whole mask
decoder, or all. SAM's prompt encoder, including its embedding of previous logits, is trained by `all` only."""

PADDING, NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3
"""Labels of prompt coordinates, as in segment_anything's ONNX export."""


class Mlsam(nn.Module):
    """MLSAM (Chen, Liu and Wang, "Yolo-MLSAM", section 3.2), built from segment_anything's modules."""

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
        """B x 3 x S x S normalised pixels -> the levels that the decoder uses."""
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
        has_previous: Tensor | None = None,
    ) -> Decoded:
        """Decode N prompts.

        Args:
            neck, fused: of one image (1 x ...) or of each prompt's image (N x ...).
            coordinates: N x K x 2, (x, y) in the continuous frame of the input; the first pixel's centre is (0.5, 0.5).
            labels: N x K, one of the labels above; `PADDING` entries have no position.
            previous: N x 1 x 4g x 4g, `Decoded.logits` of the previous prompt, which this prompt refines.
            has_previous: N, bool, True where `previous` is used; None uses all of them.

        Raises:
            ValueError: `previous` has another shape, or `has_previous` is given without it.
        """
        sparse = self._embed(coordinates, labels)
        dense = self._embed_previous(sparse.shape[0], previous, has_previous)
        positions = self.prompt_encoder.get_dense_pe()
        basis = None
        if self.config.box_prior:
            corners = labels == TOP_LEFT, labels == BOTTOM_RIGHT
            basis = box_basis(coordinates, *corners, side=4 * self.config.grid)
        decoded: Decoded = self.mask_decoder(neck, positions, sparse, dense, fused=fused, basis=basis)
        return decoded

    def _embed_previous(
        self, num_prompts: int, previous: Tensor | None, has_previous: Tensor | None
    ) -> Tensor:
        """N x C x g x g: SAM's embedding of a mask prompt, or its learned embedding of no mask."""
        grid = self.config.grid
        no_mask: Tensor = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(
            num_prompts, -1, grid, grid
        )
        if previous is None:
            if has_previous is not None:
                raise ValueError("`has_previous` needs previous logits; give `previous` too")
            return no_mask
        expected = (num_prompts, 1, 4 * grid, 4 * grid)
        if tuple(previous.shape) != expected:
            raise ValueError(f"expected previous logits of shape {expected}, got {tuple(previous.shape)}")
        embedded: Tensor = self.prompt_encoder.mask_downscaling(previous)
        return (
            embedded
            if has_previous is None
            else torch.where(has_previous[:, None, None, None], embedded, no_mask)
        )

    def _embed(self, coordinates: Tensor, labels: Tensor) -> Tensor:
        """Embed points and box corners in one N x K x C tensor; the values equal those of PromptEncoder."""
        encoder = self.prompt_encoder
        size = (self.config.input_size, self.config.input_size)
        positions: Tensor = encoder.pe_layer.forward_with_coords(coordinates, size)
        kinds = torch.cat([encoder.not_a_point_embed.weight, *(e.weight for e in encoder.point_embeddings)])
        return positions * (labels != PADDING)[..., None] + kinds[labels + 1]

    def set_trainable(self, policy: Policy) -> list[nn.Parameter]:
        """Freeze the parameters that `policy` does not train; return the others."""
        trainable = []
        for name, parameter in self.named_parameters():
            short = name.removeprefix("mask_decoder.")
            in_decoder = short != name
            parameter.requires_grad_(
                policy == "all" or (in_decoder and (policy == "decoder" or short.startswith(ADDED)))
            )
            if parameter.requires_grad:
                trainable.append(parameter)
        return trainable


def new_network(config: MlsamConfig, *, seed: int) -> Mlsam:
    """Build a network with random weights; deterministic in `seed`, without effect on torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Mlsam(config)
        if isinstance(network.image_encoder, Encoder):
            nn.init.trunc_normal_(network.image_encoder.pos_embed, std=0.02)
    return network


class _WithoutValues(TorchFunctionMode):
    """Leaves out what only gives values to tensors of the meta device, which have none.

    There, the functions of `torch.nn.init` and products import `torch._dynamo`, about 2 s of CPU time that each process
    which loads a network would pay. Both return a tensor of the shape of their first argument.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.mul or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def network_without_values(config: MlsamConfig) -> Mlsam:
    """Build a network on the meta device: its tensors have names, shapes and types, but no memory and no values."""
    with torch.device("meta"), _WithoutValues():
        return Mlsam(config)
