"""The loss of one training step of the segmenter, as a module that DistributedDataParallel can wrap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mammo.segmenter.decoder import Decoded
from mammo.segmenter.network import NEGATIVE, POSITIVE, Mlsam
from training.segmenter.batches import Batch
from training.segmenter.encoder_split import EncoderSplit
from training.segmenter.mask_loss import mask_loss, presence_loss, sample
from training.segmenter.prompts import CLICK
from training.segmenter.recipes import SegmenterRecipe


class Loss(NamedTuple):
    """Scalar tensors."""

    total: Tensor
    """The sum of both, which is minimised."""

    mask: Tensor
    """Cross entropy and Dice loss of the masks; see `mask_loss`."""

    presence: Tensor
    """Cross entropy of the presence head; 0 without one."""


class SegmenterLoss(nn.Module):
    """Computes the trained part of the encoder, decodes every prompt, and compares the masks with the truth.

    In a step with second clicks, a first mask is decoded without gradient. It decides the place of the click, and is
    the previous mask of the second decoding.
    """

    def __init__(self, network: Mlsam, recipe: SegmenterRecipe) -> None:
        super().__init__()
        self.network = network
        self._recipe = recipe
        self._split = EncoderSplit(network, recipe.policy)

    def forward(self, batch: Batch) -> Loss:
        """The mean loss over the masks of this process's share."""
        reduced = self._recipe.precision == "bfloat16"
        with torch.autocast(batch.labels.device.type, dtype=torch.bfloat16, enabled=reduced):
            levels = self._split.levels(batch.features)
            fused = self.network.fuse(levels)
            num_prompts = self._recipe.prompts
            neck = levels.neck.repeat_interleave(num_prompts, dim=0)
            fused = None if fused is None else fused.repeat_interleave(num_prompts, dim=0)
            coordinates, labels, previous = batch.coordinates, batch.labels, None
            if batch.corrects:
                with torch.no_grad():
                    first = self.network.decode(neck, fused, coordinates, labels)
                coordinates, labels = second_click(batch, first)
                previous = first.logits
            decoded = self.network.decode(neck, fused, coordinates, labels, previous=previous)
        mask = mask_loss(
            decoded.logits,
            batch.candidates,
            batch.truth,
            num_points=self._recipe.num_points,
            present=batch.present,
        ).total
        presence = torch.zeros_like(mask)
        if decoded.presence is not None:
            presence = presence_loss(decoded.presence, batch.present, counted=batch.whole)
        return Loss(mask + presence, mask, presence)


def second_click(batch: Batch, first: Decoded) -> tuple[Tensor, Tensor]:
    """Add a click to every prompt, where the first mask is wrong with the highest confidence.

    That is deep inside an error, where people click too. A mask that is right at every candidate gets its click on the
    first one. Every click has the label of the truth at its place.

    Returns:
        Coordinates and labels of the prompts, as in `Batch`.
    """
    logits = sample(first.logits, batch.candidates)
    wrong = (logits > 0) != (batch.truth > 0.5)
    place = (logits.abs() * wrong).argmax(dim=1)
    rows = torch.arange(len(place), device=place.device)
    side = 4 * first.logits.shape[-1]
    coordinates, labels = batch.coordinates.clone(), batch.labels.clone()
    coordinates[:, CLICK] = batch.candidates[rows, place] * side
    labels[:, CLICK] = torch.where(batch.truth[rows, place] > 0.5, POSITIVE, NEGATIVE)
    return coordinates, labels
