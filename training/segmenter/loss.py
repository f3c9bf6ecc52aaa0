"""One training step's loss as a module, so that torch can run it in several processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mammo.segmenter.decoder import Decoded
from mammo.segmenter.network import NEGATIVE, POSITIVE, Mlsam
from training.segmenter.batches import Batch
from training.segmenter.encoder_split import Split
from training.segmenter.mask_loss import mask_loss, presence_loss, sample
from training.segmenter.prompts import CLICK
from training.segmenter.recipes import SegmenterRecipe


class Loss(NamedTuple):
    """Scalars."""

    total: Tensor
    """What is trained on."""

    mask: Tensor
    """Cross entropy + Dice of the masks."""

    presence: Tensor
    """Cross entropy of the presence head; 0 without one."""


class SegmenterLoss(nn.Module):
    """Encode the rest, decode every prompt, compare; a second click first looks at the first mask."""

    def __init__(self, network: Mlsam, recipe: SegmenterRecipe) -> None:
        super().__init__()
        self.network = network
        self._recipe = recipe
        self._split = Split(network, recipe.policy)

    def forward(self, batch: Batch) -> Loss:
        """The loss of this process's share, a mean over its masks."""
        reduced = self._recipe.precision == "bfloat16"
        with torch.autocast(batch.labels.device.type, dtype=torch.bfloat16, enabled=reduced):
            levels = self._split.after(batch.kept)
            fused = self.network.fuse(levels)
            each = self._recipe.prompts
            neck = levels.neck.repeat_interleave(each, dim=0)
            fused = None if fused is None else fused.repeat_interleave(each, dim=0)
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
            presence = presence_loss(decoded.presence, batch.present, asked=batch.whole)
        return Loss(mask + presence, mask, presence)


def second_click(batch: Batch, first: Decoded) -> tuple[Tensor, Tensor]:
    """The prompts of a batch with one click more, where the first mask is most certain of what is wrong.

    That is deep inside an error, where people click too; at its edge a click tells little. A mask that is right at
    every candidate gets its click on any candidate; each click tells the truth.
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
