"""Segmenter: embeds a region once, then segments it for any number of prompts (step 4 of the walk)."""

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
from mammo.segmenter.binding_clicks import enforce_clicks
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.embedded_regions import EmbeddedRegions
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
    """MLSAM for one region at a time. Threads may share one; its caches affect only the time of an answer."""

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
            network: a network, executed in torch, or a runtime.
            facts: metadata of the weights.
            weights: SHA-256 of the weights; required with a cache.
            cache: cache of embeddings; None disables it.

        Raises:
            ValueError: a cache is given without the hash of the weights.
        """
        if cache is not None and not weights:
            raise ValueError(
                "a cache needs the SHA-256 of the weights as part of its keys; give `weights` too"
            )
        self._runtime: Runtime = TorchRuntime(network) if isinstance(network, torch.nn.Module) else network
        self._facts: Facts = facts or {}
        self._weights = weights
        self._cache = cache
        self._regions = EmbeddedRegions()

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
        """Load a segmenter from a safetensors file.

        Args:
            weights: the file.
            threads: CPU threads of torch in this process and of the runtime; 0 keeps their defaults.
            cache: cache of embeddings; None disables it.
            runtime: see `mammo.segmenter.runtime_choice`.
            exported: folder of exported networks; None disables it.

        Raises:
            InvalidWeights: see `load_segmenter`.
            UnusableRuntime: see `open_runtime`.
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
        """Metadata of the weights."""
        return self._facts

    @property
    def computes(self) -> str:
        """The runtime in use, with its version and number format."""
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
        """Embed the region around a box; the region depends on the box only, not on earlier calls.

        Args:
            pixels: H x W, float32 in [0, 1], dense tissue bright.
            box: in the image; the crop is twice as large at the cluster level, and a single tile around the centre of
                the box at the calcification level.
            spacing: pixel spacing, which scales the filters of the input; None when unknown.
            level: level of detail.
            image: SHA-256 of the image; if given, `embed_click` can reuse the region.

        Raises:
            InvalidPrompt: the box does not overlap the image, or the region is empty (`empty_region`).
            UnreadableImage: a pixel of the region is NaN or infinite.
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
        """As `embed`, for a prompt of a person; reuses an embedded region of the image if one fits.

        The level is `level_of` a drawn box, and the cluster level for clicks.

        Args:
            pixels, spacing, image: see `embed`.
            box: drawn by a person, or the surroundings of the points.
            points: all clicks, positive and negative.
            drawn: whether a person drew the box.
            prefer: the region of the answer that is being refined.
        """
        size = size_of(pixels)
        region = clip_prompt_box(box, size)
        level = level_of(region, config=self.config) if drawn else "cluster"
        fresh = roi_around(region, size, config=self.config, level=level, spacing=spacing)
        reusable = self._regions.find_reusable(
            image, level, box=region if drawn else None, points=points, size=size, fresh=fresh, prefer=prefer
        )
        return self._embed(pixels, reusable or fresh, level=level, image=image)

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
        """Segment the lesion of one prompt.

        Args:
            embedding: the region.
            box: in the image; limits the mask to the slightly dilated box. Without a box the mask may cover the region,
                and only its connected parts under binding points remain.
            points: pixels of the lesion.
            negative: pixels outside the lesion.
            binding: those points of both kinds that a person set; the mask agrees with them, as far as the box allows.
            previous: an earlier answer to refine; ignored if it belongs to another region.

        Raises:
            InvalidPrompt: the prompt does not locate the lesion, has more than `MAX_POINTS` points, or lies outside the
                embedded region.
        """
        roi = embedding.roi
        earlier = previous.logits if previous and previous.roi == roi else None
        allowed = allowed_region(roi, box=box, points=points, negative=negative, previous=earlier is not None)
        logits, presence = self._decode(embedding, box, points, negative, earlier)
        clicked = [point for point in points if point in binding]
        logits = enforce_clicks(
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
        """Segment the calcifications inside a box, at one image pixel per logit; large boxes are tiled and blended.

        Args:
            pixels: H x W, float32 in [0, 1], dense tissue bright.
            box: of a cluster or of one calcification; limits the mask to the slightly dilated box.
            spacing: pixel spacing; None when unknown.
            points: specks inside the box; each prompts the tiles that contain it.

        Raises:
            InvalidPrompt: the box does not overlap the image, or there are too many points.
            UnreadableImage: a pixel of the region is NaN or infinite.
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
        single = answers[0] if len(answers) == 1 else None
        return Segmentation(
            mask=_mask(blend(answers, allowed), allowed) if answers else None,
            presence=max(presences, default=None),
            logits=single[1] if single else None,
            roi=single[0] if single else None,
            pixels_per_logit=1.0,
            spacing=spacing,
            points=tuple(points),
            notes=notes_on(region, pixels_per_logit=1.0, spacing=spacing),
        )

    def _embed(self, pixels: Pixels, roi: Roi, *, level: Level, image: str | None = None) -> RoiEmbedding:
        """Embed a region, from the cache if possible; index it under `image`."""
        if not pixels[roi.crop.slices].any():
            raise InvalidPrompt(
                f"the region {roi.crop.as_tuple()} is empty: every pixel is 0; prompt inside the breast",
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
            self._regions.add(image, level, roi)
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
    """Tight mask of the positive logits in a frame of the image; None when there are none."""
    return Mask(np.ascontiguousarray(logits > 0), frame.x0, frame.y0).tight()
