"""Prelabeller: mammogram in, findings out. The one composition of detector, prompts and segmenter.

Serving, the evaluation gate and the command line all run this module, so what is judged is what serves.

    pixels -> Detector -> boxes -> prompt rule -> points -> Segmenter -> masks -> findings
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mammo.detector import Detection, Detector
from mammo.dicom import Mammogram
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Spacing
from mammo.masks import Mask
from mammo.prompts import PROMPT_RULES, Pixels
from mammo.registry import ModelFiles
from mammo.segmenter import RoiEmbedding, Segmenter

PROMPT_SPACING_MM = 0.5
"""Least distance between two point prompts, in mm; about the nearest-neighbour distance inside a cluster."""

ASSUMED_SPACING_MM = 0.07
"""Pixel spacing taken for an image that states none: the most common FFDM detector pitch."""

MAX_FINDINGS = 20
"""At most this many findings in one prelabel: each costs a segmentation, and an annotator's patience."""

CLICK_BOX_MM = 20.0
"""Side of the region looked at around clicks without a box, in mm."""


class DetectsClusters(Protocol):
    def detect(self, pixels: Pixels, *, threshold: float) -> list[Detection]: ...


class SegmentsClusters(Protocol):
    def embed(self, pixels: Pixels, box: Box, *, spacing: Spacing | None) -> RoiEmbedding: ...

    def segment(
        self,
        embedding: RoiEmbedding,
        *,
        box: Box | None,
        points: Sequence[Point] = (),
        negative: Sequence[Point] = (),
    ) -> Mask | None: ...


class Prelabeller:
    """One model version, ready to work. Stateless between calls and safe to share between threads."""

    def __init__(
        self,
        detector: DetectsClusters,
        segmenter: SegmentsClusters,
        *,
        version: str,
        threshold: float = 0.2,
        prompt_rule: str = "robust",
        prompt_count: int = 3,
    ) -> None:
        """
        Args:
            version: the model version string, the same in `/setup`, in predictions and in the registry.
            threshold: least detector score of a finding, in [0, 1]; the paper's 0.2 where nothing is calibrated.
            prompt_rule: a key of `PROMPT_RULES`.
            prompt_count: point prompts per box.

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

    @classmethod
    def load(cls, files: ModelFiles, *, threads: int = 0) -> Prelabeller:
        """Build both networks from a model version's files.

        Args:
            threads: CPU threads of the networks; 0 lets torch choose.

        Raises:
            InvalidWeights: a file does not hold what its specification says.
        """
        return cls(
            Detector.load(files.detector, threads=threads),
            Segmenter.load(files.segmenter, threads=threads),
            version=files.version,
            threshold=files.threshold,
            prompt_rule=files.prompt_rule,
            prompt_count=files.prompt_count,
        )

    def detect(self, mammogram: Mammogram, *, threshold: float | None = None) -> list[Detection]:
        """Cluster boxes in original pixels, best first; `threshold` None means the operating point."""
        return self._detector.detect(
            mammogram.pixels, threshold=self.threshold if threshold is None else threshold
        )

    def prelabel(
        self, mammogram: Mammogram, *, detections: Sequence[Detection] | None = None
    ) -> list[Finding]:
        """Findings at the operating point, best first, at most `MAX_FINDINGS`. Empty means nothing was found.

        Args:
            detections: boxes already computed (at any threshold) for this mammogram; None computes them.
        """
        found = self.detect(mammogram) if detections is None else detections
        kept = sorted((d for d in found if d.score >= self.threshold), key=lambda d: -d.score)[:MAX_FINDINGS]
        return [self._describe(mammogram, detection, index) for index, detection in enumerate(kept, 1)]

    def segment(
        self, mammogram: Mammogram, box: Box | None, positive: Sequence[Point], negative: Sequence[Point]
    ) -> Finding | None:
        """The finding under an expert's clicks; None when the model sees nothing there.

        Args:
            box: drawn by the expert, in original pixels, or None.
            positive: clicks on the lesion.
            negative: clicks on what is not the lesion.

        Raises:
            ValueError: neither a box nor a positive click, or all of it outside the image.
        """
        if box is None and not positive:
            raise ValueError("a prompt needs a box or at least one positive point")
        region = box.within(mammogram.size) if box else self._around(mammogram, positive)
        embedding = self._segmenter.embed(mammogram.pixels, region, spacing=mammogram.spacing)
        points = tuple(positive) or self._points(mammogram, region)
        mask = self._segmenter.segment(embedding, box=box and region, points=points, negative=negative)
        tight = mask.box if mask else None
        if mask is None or tight is None:
            return None
        return Finding(label=CLUSTER, score=1.0, box=tight, prompts=points, mask=mask)

    def _describe(self, mammogram: Mammogram, detection: Detection, index: int) -> Finding:
        points = self._points(mammogram, detection.box)
        embedding = self._segmenter.embed(mammogram.pixels, detection.box, spacing=mammogram.spacing)
        mask = self._segmenter.segment(embedding, box=detection.box, points=points)
        return Finding(
            label=CLUSTER,
            score=detection.score,
            box=detection.box,
            prompts=points,
            mask=mask,
            id=f"c{index}",
        )

    def _points(self, mammogram: Mammogram, box: Box) -> tuple[Point, ...]:
        spacing = mammogram.spacing or Spacing(ASSUMED_SPACING_MM, ASSUMED_SPACING_MM, "assumed")
        return tuple(
            self._rule(
                mammogram.pixels, box, count=self._prompt_count, spacing=spacing.pixels(PROMPT_SPACING_MM)
            )
        )

    @staticmethod
    def _around(mammogram: Mammogram, points: Sequence[Point]) -> Box:
        spacing = mammogram.spacing or Spacing(ASSUMED_SPACING_MM, ASSUMED_SPACING_MM, "assumed")
        side = spacing.pixels(CLICK_BOX_MM)
        around = Box.centred(points[0].x + 0.5, points[0].y + 0.5, width=side, height=side)
        for point in points[1:]:
            around = around.union(Box(point.x, point.y, point.x + 1, point.y + 1))
        return around.within(mammogram.size)
