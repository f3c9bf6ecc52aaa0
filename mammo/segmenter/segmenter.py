"""Segmenter: embed a region once, then turn any number of prompts into masks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from mammo.blobs import hash_file
from mammo.errors import InvalidPrompt
from mammo.geometry import Box, Point, Spacing
from mammo.masks import Mask
from mammo.pixels import Pixels, size_of
from mammo.prompts import clip_prompt_box
from mammo.segmenter.binding_clicks import bound
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.embedded_regions import KnownRegions
from mammo.segmenter.embedding import RoiEmbedding, embedding_key
from mammo.segmenter.embedding_cache import EmbeddingCache
from mammo.segmenter.network import Mlsam
from mammo.segmenter.planes import roi_input
from mammo.segmenter.prompt_tokens import allowed_region, prompt_tokens
from mammo.segmenter.roi import Level, Roi, dilated, level_of, roi_around, tile_rois
from mammo.segmenter.runtime import Answer, Features, Logits, Runtime, TorchRuntime
from mammo.segmenter.runtime_choice import RuntimeName, open_runtime
from mammo.segmenter.segmentation import Segmentation, notes_on
from mammo.segmenter.tiles import blend
from mammo.segmenter.weights import Facts, load_segmenter


class Segmenter:
    """MLSAM for one region at a time; threads may share it. What it remembers changes how long an answer takes."""

    def __init__(
        self,
        network: Mlsam | Runtime,
        *,
        facts: Facts | None = None,
        weights: str = "",
        cache: EmbeddingCache | None = None,
    ) -> None:
        """
        Args:
            network: computes in torch, or a runtime that computes by itself.
            facts: how the weights came about.
            weights: SHA-256 of the weights; needed with a cache.
            cache: where embeddings are kept; None: nowhere.

        Raises:
            ValueError: a cache without the hash of the weights.
        """
        if cache is not None and not weights:
            raise ValueError("a cache tells embeddings apart by the SHA-256 of the weights; give it too")
        self._runtime: Runtime = TorchRuntime(network) if isinstance(network, torch.nn.Module) else network
        self._facts: Facts = facts or {}
        self._weights = weights
        self._cache = cache
        self._regions = KnownRegions()

    @classmethod
    def load(
        cls,
        weights: Path,
        *,
        threads: int = 0,
        cache: EmbeddingCache | None = None,
        runtime: RuntimeName = "torch",
        exported: Path | None = None,
    ) -> Segmenter:
        """Load a safetensors file.

        Args:
            threads: CPU threads of torch in this process; 0 leaves torch's own choice.
            cache: where embeddings are kept; None: nowhere.
            runtime: what computes; see `runtime_choice.py`.
            exported: folder where exported networks are kept.

        Raises:
            InvalidWeights: the file cannot be rebuilt into a network exactly.
            UnusableRuntime: the runtime asked for by name cannot be had.
        """
        if threads:
            torch.set_num_threads(threads)
        network, facts = load_segmenter(weights)
        digest = hash_file(weights)
        opened = open_runtime(network, name=runtime, weights=digest, exported=exported, threads=threads)
        return cls(opened, facts=facts, weights=digest, cache=cache)

    @property
    def config(self) -> MlsamConfig:
        return self._runtime.config

    @property
    def facts(self) -> Facts:
        """How the weights came about."""
        return self._facts

    @property
    def computes(self) -> str:
        """The runtime that was opened, its release and number format."""
        return self._runtime.precision

    def embed(
        self,
        pixels: Pixels,
        box: Box,
        *,
        spacing: Spacing | None,
        level: Level = "cluster",
        image: str | None = None,
    ) -> RoiEmbedding:
        """Encode the region around a box; the same box gives the same region, whatever was asked before.

        Args:
            pixels: H x W, float32 in [0, 1], dense tissue bright.
            box: in the image; at the cluster level the crop is twice as large and holds its surroundings, at the
                calcification level it is the one tile around the box's middle.
            spacing: of the pixels, where known; the input's filters are sized in mm.
            image: the image's SHA-256; the region is then remembered for `embed_click`.

        Raises:
            InvalidPrompt: the box does not meet the image, or the region shows nothing (`code="empty_region"`).
            UnreadableImage: pixels of the region are not finite numbers.
        """
        size = size_of(pixels)
        region = clip_prompt_box(box, size)
        roi = roi_around(region, size, config=self.config, level=level, spacing=spacing)
        return self._embed(pixels, roi, level=level, image=image)

    def embed_click(
        self,
        pixels: Pixels,
        box: Box,
        *,
        spacing: Spacing | None,
        image: str,
        points: Sequence[Point],
        drawn: bool,
        prefer: Roi | None = None,
    ) -> RoiEmbedding:
        """As `embed` at the `level_of` a drawn box, or the cluster level for clicks.

        A region of the image that was embedded before is taken again where it can answer.

        Args:
            box: drawn by a person, or the surroundings of the points.
            points: every click, positive or negative.
            drawn: a person drew the box.
            prefer: the region of the answer that is being refined.
        """
        size = size_of(pixels)
        region = clip_prompt_box(box, size)
        level = level_of(region, config=self.config) if drawn else "cluster"
        fresh = roi_around(region, size, config=self.config, level=level, spacing=spacing)
        known = self._regions.answering(
            image, level, box=region if drawn else None, points=points, size=size, fresh=fresh, prefer=prefer
        )
        return self._embed(pixels, known or fresh, level=level, image=image)

    def segment(
        self,
        embedding: RoiEmbedding,
        *,
        box: Box | None,
        points: Sequence[Point] = (),
        negative: Sequence[Point] = (),
        binding: Collection[Point] = (),
        previous: Segmentation | None = None,
    ) -> Segmentation:
        """The answer to one prompt, in the image frame.

        Args:
            box: limits the mask to itself, slightly dilated; None: the rest decides, within the region; of a mask in
                several parts those remain that a person clicked.
            points: pixels that belong to the lesion.
            negative: pixels that do not.
            binding: those of both that a person set: there the mask holds what they say, whatever the network makes of
                it, as far as the box allows.
            previous: an earlier answer in the same region, to refine; one of another region is left out.

        Raises:
            InvalidPrompt: nothing that says where the lesion is, more than `MAX_POINTS` points, or a prompt outside
                the embedded region.
        """
        roi = embedding.roi
        earlier = previous.logits if previous and previous.roi == roi else None
        allowed = allowed_region(roi, box=box, points=points, negative=negative, previous=earlier is not None)
        logits, presence = self._decode(embedding, box, points, negative, earlier)
        clicked = [point for point in points if point in binding]
        logits = bound(
            logits,
            [roi.point_to_logits(point) for point in clicked],
            [roi.point_to_logits(point) for point in negative if point in binding],
        )
        with torch.inference_mode():
            low = torch.from_numpy(logits)[None, None]
            native = F.interpolate(low, size=(roi.side, roi.side), mode="bilinear", align_corners=False)
        rows, columns = allowed.shifted(-roi.crop.x0, -roi.crop.y0).slices
        mask = _mask(native[0, 0, rows, columns].numpy(), allowed)
        if mask is not None and box is None and clicked:
            mask = mask.parts_at(clicked) or mask
        return Segmentation(
            mask=mask,
            presence=presence,
            logits=logits,
            roi=roi,
            pixels_per_logit=roi.pixels_per_logit,
            spacing=roi.spacing,
            points=tuple(points),
            notes=notes_on(
                box or (mask.frame if mask else None),
                pixels_per_logit=roi.pixels_per_logit,
                spacing=roi.spacing,
            ),
        )

    def segment_calcifications(
        self, pixels: Pixels, box: Box, *, spacing: Spacing | None, points: Sequence[Point] = ()
    ) -> Segmentation:
        """Every calcification under a box, at one image pixel per logit; a large box is tiled and blended.

        Args:
            pixels: H x W, float32 in [0, 1], dense tissue bright.
            box: of a cluster or of one calcification; the mask stays in it, slightly dilated.
            points: specks in the box, each prompted in the tiles that see it.

        Raises:
            InvalidPrompt: the box does not meet the image, or too many points.
            UnreadableImage: pixels of the region are not finite numbers.
        """
        size = size_of(pixels)
        region = clip_prompt_box(box, size)
        allowed = dilated(region).within(size)
        answers: list[tuple[Roi, Logits]] = []
        presences = []
        for roi in tile_rois(region, size, config=self.config, spacing=spacing):
            if not pixels[roi.crop.slices].any():
                continue
            inside = [point for point in points if roi.crop.contains(point)]
            allowed_region(roi, box=region, points=inside, negative=())
            embedding = self._embed(pixels, roi, level="calcification")
            logits, presence = self._decode(embedding, region, inside, (), None)
            answers.append((roi, logits))
            if presence is not None:
                presences.append(presence)
        one = answers[0] if len(answers) == 1 else None
        return Segmentation(
            mask=_mask(blend(answers, allowed), allowed) if answers else None,
            presence=max(presences, default=None),
            logits=one[1] if one else None,
            roi=one[0] if one else None,
            pixels_per_logit=1.0,
            spacing=spacing,
            points=tuple(points),
            notes=notes_on(region, pixels_per_logit=1.0, spacing=spacing),
        )

    def _embed(self, pixels: Pixels, roi: Roi, *, level: Level, image: str | None = None) -> RoiEmbedding:
        if not pixels[roi.crop.slices].any():
            raise InvalidPrompt(
                f"the region {roi.crop.as_tuple()} shows only air: every pixel is 0; prompt inside the breast",
                code="empty_region",
            )

        def encode() -> Features:
            return self._runtime.encode(roi_input(pixels, roi, channels=self.config.channels))

        if self._cache is None:
            features = encode()
        else:
            key = embedding_key(
                pixels, roi, config=self.config, weights=self._weights, precision=self._runtime.precision
            )
            features = self._cache.get(key, encode)
        if image is not None:
            self._regions.remember(image, level, roi)
        return RoiEmbedding(roi=roi, size=size_of(pixels), level=level, features=features)

    def _decode(
        self,
        embedding: RoiEmbedding,
        box: Box | None,
        points: Sequence[Point],
        negative: Sequence[Point],
        earlier: Logits | None,
    ) -> Answer:
        coordinates, labels = prompt_tokens(embedding.roi, box=box, points=points, negative=negative)
        return self._runtime.decode(embedding.features, coordinates, labels, previous=earlier)


def _mask(logits: Logits, frame: Box) -> Mask | None:
    """Positive logits of a frame of the image as a tight mask; None when there are none."""
    return Mask(np.ascontiguousarray(logits > 0), frame.x0, frame.y0).tight()
