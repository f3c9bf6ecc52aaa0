"""Prelabeller: mammogram in, findings out. The one composition of detector, prompts and segmenter.

Serving, the evaluation gate and the command line all run this module, so what is judged is what serves.

    pixels -> Detector -> boxes -> prompt rule -> points -> Segmenter -> masks -> findings
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import structlog

from mammo.detector import Detection, Detector, RuntimeName
from mammo.dicom import Mammogram
from mammo.errors import InvalidPrompt
from mammo.findings import CLUSTER, Finding
from mammo.geometry import ASSUMED_SPACING, Box, Point, Spacing
from mammo.masks import Mask
from mammo.masks.instances import GAP_MM
from mammo.masks.instances import calcifications as instances_of
from mammo.models import ModelFiles
from mammo.prompts import PROMPT_RULES, Pixels
from mammo.segmenter import EmbeddingCache, Roi, RoiEmbedding, Segmentation, Segmenter

PROMPT_SPACING_MM = 0.5
"""Least distance between two point prompts, in mm; about the nearest-neighbour distance inside a cluster."""

MAX_FINDINGS = 20
"""At most this many findings in one prelabel: each costs a segmentation, and an annotator's patience."""

MAX_SPECKS = 32
"""Point prompts for the single calcifications of a cluster, at most."""

SMALLEST_CALCIFICATION_MM = 0.2
"""Diameter of the smallest calcification that is told: most of what the starter outlines below it is noise
(docs/experiments.md, 2026-11-29)."""

CLICK_BOX_MM = 20.0
"""Side of the region looked at around clicks without a box, in mm."""


log = structlog.get_logger()


class DetectsClusters(Protocol):
    @property
    def computes(self) -> str: ...

    def detect(self, pixels: Pixels, *, threshold: float, spacing: Spacing | None) -> list[Detection]: ...


class SegmentsClusters(Protocol):
    @property
    def computes(self) -> str: ...

    def embed(
        self, pixels: Pixels, box: Box, *, spacing: Spacing | None, image: str | None = None
    ) -> RoiEmbedding: ...

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
    ) -> RoiEmbedding: ...

    def segment(
        self,
        embedding: RoiEmbedding,
        *,
        box: Box | None,
        points: Sequence[Point] = (),
        negative: Sequence[Point] = (),
        binding: Collection[Point] = (),
        previous: Segmentation | None = None,
    ) -> Segmentation: ...

    def segment_calcifications(
        self, pixels: Pixels, box: Box, *, spacing: Spacing | None, points: Sequence[Point] = ()
    ) -> Segmentation: ...


class Prelabeller:
    """One model version, ready to work. Stateless between calls and safe to share between threads."""

    def __init__(
        self,
        detector: DetectsClusters,
        segmenter: SegmentsClusters,
        *,
        version: str,
        threshold: float,
        prompt_rule: str,
        prompt_count: int,
        presence_threshold: float,
    ) -> None:
        """
        Args:
            version: the model version string, the same in `/setup`, in predictions and in the registry.
            threshold: least detector score of a finding, in [0, 1]; the paper's 0.2 where nothing is calibrated.
            prompt_rule: a key of `PROMPT_RULES`.
            prompt_count: point prompts per box.
            presence_threshold: a detection whose region holds a lesion with less probability than this stays a box
                without a mask: the detector's operating point was calibrated alone, so nothing is dropped. 0 is off,
                and weights without a presence head say nothing.

        Raises:
            ValueError: an unknown prompt rule.
        """
        if prompt_rule not in PROMPT_RULES:
            raise ValueError(f"prompt rule {prompt_rule!r} is not one of {', '.join(sorted(PROMPT_RULES))}")
        self.version = version
        self.threshold = threshold
        self._detector = detector
        self._segmenter = segmenter
        self._rule = PROMPT_RULES[prompt_rule]
        self._prompt_count = prompt_count
        self._presence_threshold = presence_threshold

    @classmethod
    def load(
        cls,
        files: ModelFiles,
        *,
        threads: int = 0,
        runtime: RuntimeName = "auto",
        exported: Path | None = None,
        embeddings: EmbeddingCache | None = None,
    ) -> Prelabeller:
        """Build both networks from a model version's files.

        Args:
            threads: CPU threads of the networks; 0 lets torch choose.
            runtime: of both; `auto` leaves a small segmenter to torch.
            exported: where exported networks are kept for the next start; None: nowhere.
            embeddings: where the segmenter keeps embedded regions; several versions may share one.

        Raises:
            InvalidWeights: a file does not hold what its specification says.
            UnusableRuntime: the runtime asked for by name cannot run a network.
        """
        return cls(
            Detector.load(
                files.detector, threads=threads, runtime=runtime, cache=exported and exported / "detector"
            ),
            Segmenter.load(
                files.segmenter,
                threads=threads,
                cache=embeddings,
                runtime=runtime,
                exported=exported and exported / "segmenter",
            ),
            version=files.version,
            threshold=files.threshold,
            prompt_rule=files.prompt_rule,
            prompt_count=files.prompt_count,
            presence_threshold=files.presence_threshold,
        )

    @property
    def runtimes(self) -> dict[str, str]:
        """What computes the two networks, by their names."""
        return {"detector": self._detector.computes, "segmenter": self._segmenter.computes}

    def detect(self, mammogram: Mammogram, *, threshold: float | None) -> list[Detection]:
        """Cluster boxes in original pixels, best first; `threshold` None means the operating point."""
        return self._detector.detect(
            mammogram.pixels,
            threshold=self.threshold if threshold is None else threshold,
            spacing=mammogram.spacing,
        )

    def prelabel(
        self,
        mammogram: Mammogram,
        *,
        threshold: float | None,
        detections: Sequence[Detection] | None = None,
    ) -> list[Finding]:
        """Findings at the operating point, best first, at most `MAX_FINDINGS`. Empty means nothing was found.

        Args:
            threshold: least detector score where a project wants its own; None: the operating point.
            detections: boxes already computed (at any threshold) for this mammogram; None computes them.
        """
        least = self.threshold if threshold is None else threshold
        found = self.detect(mammogram, threshold=least) if detections is None else detections
        kept = sorted((d for d in found if d.score >= least), key=lambda d: -d.score)[:MAX_FINDINGS]
        return [self._describe(mammogram, detection, index) for index, detection in enumerate(kept, 1)]

    def answer(
        self,
        mammogram: Mammogram,
        box: Box | None,
        positive: Sequence[Point],
        negative: Sequence[Point],
        *,
        previous: Segmentation | None = None,
    ) -> Segmentation:
        """What the model makes of an expert's clicks; presence never suppresses what a person asked for.

        Args:
            box: drawn by the expert, in original pixels, or None.
            positive: clicks on the lesion; the mask holds them.
            negative: clicks on what is not the lesion; the mask leaves them out.
            previous: the answer to the clicks so far, to refine; left out where the region is another one.

        Raises:
            InvalidPrompt: neither a box nor a positive click, or all of it outside the image or the breast.
        """
        if box is None and not positive:
            raise InvalidPrompt(
                f"a prompt needs a box or at least one positive point, got {len(negative)} negative points only; "
                "click the lesion first"
            )
        size = mammogram.size
        for point in (*positive, *negative):
            if not size.box.contains(point):
                raise InvalidPrompt(
                    f"point ({point.x}, {point.y}) lies outside an image of {size.width} x {size.height} pixels"
                )
        region = box or self._around(mammogram, positive)
        embedding = self._segmenter.embed_click(
            mammogram.pixels,
            region,
            spacing=mammogram.spacing,
            image=mammogram.sha256,
            points=(*positive, *negative),
            drawn=box is not None,
            prefer=previous.roi if previous else None,
        )
        region = region.within(size)
        points = tuple(positive) or self._points(mammogram, region, count=self._prompt_count)
        return self._segmenter.segment(
            embedding,
            box=box and region,
            points=points,
            negative=negative,
            binding=(*positive, *negative),
            previous=previous,
        )

    def calcifications(self, mammogram: Mammogram, box: Box) -> list[Mask]:
        """The calcifications that the model sees in a box, from `SMALLEST_CALCIFICATION_MM` on, largest first.

        Args:
            box: of a cluster, or of one calcification; the masks stay in it, slightly dilated.

        Raises:
            InvalidPrompt: the box does not meet the image.
        """
        points = self._points(mammogram, box.within(mammogram.size), count=MAX_SPECKS)
        found = self._segmenter.segment_calcifications(
            mammogram.pixels, box, spacing=mammogram.spacing, points=points
        )
        if found.mask is None:
            return []
        return instances_of(
            found.mask, spacing=mammogram.spacing, min_diameter_mm=SMALLEST_CALCIFICATION_MM, gap_mm=GAP_MM
        )

    def _describe(self, mammogram: Mammogram, detection: Detection, index: int) -> Finding:
        points = self._points(mammogram, detection.box, count=self._prompt_count)
        bare = Finding(
            label=CLUSTER, score=detection.score, box=detection.box, prompts=points, id=f"c{index}"
        )
        try:
            embedding = self._segmenter.embed(
                mammogram.pixels, detection.box, spacing=mammogram.spacing, image=mammogram.sha256
            )
            found = self._segmenter.segment(embedding, box=detection.box, points=points)
        except InvalidPrompt as error:  # a box on air costs its own mask, not the prelabel
            log.warning("a detection has no mask", code=error.code)
            return bare
        absent = found.presence is not None and found.presence < self._presence_threshold
        return replace(
            bare,
            mask=None if absent else found.mask,
            presence=found.presence,
            pixels_per_logit=found.pixels_per_logit,
        )

    def _points(self, mammogram: Mammogram, box: Box, *, count: int) -> tuple[Point, ...]:
        spacing = mammogram.spacing or ASSUMED_SPACING
        return tuple(
            self._rule(
                mammogram.pixels,
                box,
                count=count,
                spacing=spacing.pixels(PROMPT_SPACING_MM),
                mm_per_pixel=spacing.mean_mm,
            )
        )

    @staticmethod
    def _around(mammogram: Mammogram, points: Sequence[Point]) -> Box:
        spacing = mammogram.spacing or ASSUMED_SPACING
        width, height = (max(1, round(CLICK_BOX_MM / side)) for side in (spacing.column_mm, spacing.row_mm))
        around = Box.centred(points[0].x + 0.5, points[0].y + 0.5, width=width, height=height)
        for point in points[1:]:
            around = around.union(Box(point.x, point.y, point.x + 1, point.y + 1))
        return around.within(mammogram.size)
