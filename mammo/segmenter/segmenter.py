"""Segmenter: embed a region once, then turn any number of prompts into masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mammo.geometry import Box, Point, Size, Spacing
from mammo.masks import Mask
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT, Mlsam
from mammo.segmenter.roi import Pixels, Roi, dilated, roi_around, roi_input
from mammo.segmenter.weights import Facts, load_segmenter


@dataclass(frozen=True, eq=False)
class RoiEmbedding:
    """One region as the decoder sees it, independent of any prompt; safe to keep and to share between threads."""

    roi: Roi
    """Where in the image it lies, and at which scale."""

    size: Size
    """Of the whole image."""

    spacing: Spacing | None
    """Of the image's pixels, where known."""

    neck: Tensor
    """1 x C x g x g float32."""

    fused: Tensor | None
    """1 x C/8 x 4g x 4g float32: the levels fused, the costly part of MLSAM."""

    @property
    def num_bytes(self) -> int:
        """Memory that it holds."""
        return sum(t.numel() * t.element_size() for t in (self.neck, self.fused) if t is not None)


class Segmenter:
    """MLSAM for one region at a time. It has no state that a call changes: threads may share it."""

    def __init__(self, network: Mlsam, *, facts: Facts | None = None) -> None:
        self._network = network.eval()
        self._facts: Facts = facts or {}

    @classmethod
    def load(cls, weights: Path, *, threads: int = 0) -> Segmenter:
        """Load a safetensors file.

        Args:
            threads: CPU threads of torch in this process; 0 leaves torch's own choice.

        Raises:
            InvalidWeights: the file cannot be rebuilt into a network exactly.
        """
        if threads:
            torch.set_num_threads(threads)
        network, facts = load_segmenter(weights)
        return cls(network, facts=facts)

    @property
    def config(self) -> MlsamConfig:
        return self._network.config

    @property
    def facts(self) -> Facts:
        """How the weights came about."""
        return self._facts

    def embed(self, pixels: Pixels, box: Box, *, spacing: Spacing | None) -> RoiEmbedding:
        """Encode the region around a box at native resolution.

        Args:
            pixels: H x W, float32 in [0, 1], dense tissue bright.
            box: in the image; the crop is twice as large and holds its surroundings.
            spacing: kept with the embedding; the network works in pixels.

        Raises:
            ValueError: the box does not meet the image.
        """
        size = Size(pixels.shape[1], pixels.shape[0])
        roi = roi_around(box.within(size), size, config=self.config)
        planes = torch.from_numpy(roi_input(pixels, roi, channels=self.config.channels))[None]
        with torch.inference_mode():
            levels = self._network.encode(planes.to(self._device))
            fused = self._network.fuse(levels)
        return RoiEmbedding(roi=roi, size=size, spacing=spacing, neck=levels.neck, fused=fused)

    def segment(
        self,
        embedding: RoiEmbedding,
        *,
        box: Box | None,
        points: Sequence[Point] = (),
        negative: Sequence[Point] = (),
    ) -> Mask | None:
        """The mask of one prompt, in the image frame; None when it is empty.

        Args:
            box: limits the mask to itself, slightly dilated; None: the points alone decide, within the region.
            points: pixels that belong to the cluster.
            negative: pixels that do not.

        Raises:
            ValueError: no box and no positive point, or a prompt outside the embedded region.
        """
        roi = embedding.roi
        allowed = self._allowed(embedding, box, [*points, *negative], positive=bool(points))
        coordinates, labels = prompt_tokens(roi, box=box, points=points, negative=negative)
        with torch.inference_mode():
            logits = self._network.decode(
                embedding.neck,
                embedding.fused,
                torch.tensor([coordinates], device=self._device),
                torch.tensor([labels], device=self._device),
            ).logits
            native = F.interpolate(logits, size=(roi.side, roi.side), mode="bilinear", align_corners=False)
        rows, columns = allowed.shifted(-roi.crop.x0, -roi.crop.y0).slices
        bitmap = (native[0, 0, rows, columns] > 0).cpu().numpy()
        return Mask(np.ascontiguousarray(bitmap), allowed.x0, allowed.y0).tight()

    @staticmethod
    def _allowed(embedding: RoiEmbedding, box: Box | None, points: Sequence[Point], *, positive: bool) -> Box:
        """Where the mask may lie."""
        crop = embedding.roi.crop
        if box is None and not positive:
            raise ValueError("a prompt needs a box or at least one positive point")
        for point in points:
            if not crop.contains(point):
                raise ValueError(f"point ({point.x}, {point.y}) lies outside the region {crop.as_tuple()}")
        if box is None:
            return crop
        allowed = dilated(box).intersection(crop)
        if allowed is None:
            raise ValueError(f"box {box.as_tuple()} lies outside the region {crop.as_tuple()}")
        return allowed

    @property
    def _device(self) -> torch.device:
        return next(self._network.parameters()).device


def prompt_tokens(
    roi: Roi, *, box: Box | None, points: Sequence[Point], negative: Sequence[Point]
) -> tuple[list[tuple[float, float]], list[int]]:
    """Coordinates (continuous, input frame) and labels of a prompt, in the order that SAM was trained with."""
    coordinates = [roi.point_to_input(point) for point in (*points, *negative)]
    labels = [POSITIVE] * len(points) + [NEGATIVE] * len(negative)
    if box is None:
        return [*coordinates, (0.0, 0.0)], [*labels, PADDING]
    grown = dilated(box)
    corners = [roi.to_input(grown.x0, grown.y0), roi.to_input(grown.x1, grown.y1)]
    return [*coordinates, *corners], [*labels, TOP_LEFT, BOTTOM_RIGHT]
