"""Prelabeller: the findings of a mammogram, by detector, prompt rule and segmenter.

Serving, the evaluation gate and the command line all use this composition, so the gate evaluates what is served.

    pixels -> Detector -> boxes -> prompt rule -> points -> Segmenter -> masks -> findings
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from mammo.blobs import hash_file
from mammo.detector import Detection, Detector, RuntimeName, find_breast
from mammo.dicom import Mammogram
from mammo.errors import InvalidPrompt, UnreadableImage
from mammo.evidence import evidence, in_words
from mammo.findings import CLUSTER, MAX_FINDINGS, Finding, ImageFindings
from mammo.geometry import ASSUMED_SPACING, Box, Point
from mammo.landmarks import Landmarks
from mammo.masks import Mask
from mammo.masks.instances import GAP_MM
from mammo.masks.instances import calcifications as instances_of
from mammo.models import ModelFiles
from mammo.prompts import PROMPT_RULES, PROMPT_SPACING_MM
from mammo.segmenter import EmbeddingCache, Segmentation, Segmenter
from mammo.segmenter.mask_prior import segmentation_of
from mammo.words.features import specks_of

MAX_CALCIFICATION_PROMPTS = 32
"""Maximum number of point prompts for the calcifications of a cluster."""

MIN_CALCIFICATION_MM = 0.2
"""Least diameter of a calcification, in mm: most smaller instances of the starter are noise
(docs/experiments.md, 2026-11-29)."""

CLICK_BOX_MM = 20.0
"""Side of the box around clicks without a drawn box, in mm."""


log = structlog.get_logger()


class Prelabeller:
    """Detector and segmenter of one model version. Stateless, and safe to share between threads."""

    def __init__(
        self,
        detector: Detector,
        segmenter: Segmenter,
        *,
        version: str,
        threshold: float,
        prompt_rule: str,
        prompt_count: int,
        presence_threshold: float,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            detector: finds boxes of clusters.
            segmenter: finds the mask in a box.
            version: model version, the same string in `/setup`, in predictions and in the registry.
            threshold: least detector score of a finding, in [0, 1]; the paper uses 0.2 without calibration.
            prompt_rule: key of `PROMPT_RULES`.
            prompt_count: number of point prompts per box.
            presence_threshold: a finding with a lower presence, in [0, 1], has no mask. It keeps its box, because the
                detector's operating point was calibrated without the segmenter. 0 disables the threshold; it has no
                effect for weights without a presence head.
            identity: all that the results depend on besides pixels, code and processor, as JSON values; None: unknown.

        Raises:
            ValueError: the prompt rule is unknown.
        """
        if prompt_rule not in PROMPT_RULES:
            raise ValueError(
                f"expected a prompt rule of {', '.join(sorted(PROMPT_RULES))}, got {prompt_rule!r}"
            )
        self.version = version
        self.threshold = threshold
        self.identity = identity
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
        """Load both networks from the files of a model version.

        Args:
            files: weights and operating point.
            threads: number of CPU threads; 0 lets torch choose.
            runtime: runtime of both networks; `auto` runs a small segmenter with torch.
            exported: folder that caches exported networks for the next start; None for no cache.
            embeddings: cache of the segmenter's embeddings, which several versions may share.

        Raises:
            InvalidWeights: a file does not match its specification.
            UnusableRuntime: the given runtime cannot run a network.
        """
        detector = Detector.load(
            files.detector,
            threads=threads,
            runtime=runtime,
            cache=exported and exported / "detector",
            bfloat16=files.bfloat16,
        )
        segmenter = Segmenter.load(
            files.segmenter,
            threads=threads,
            cache=embeddings,
            runtime=runtime,
            exported=exported and exported / "segmenter",
        )
        return cls(
            detector,
            segmenter,
            version=files.version,
            threshold=files.threshold,
            prompt_rule=files.prompt_rule,
            prompt_count=files.prompt_count,
            presence_threshold=files.presence_threshold,
            identity={
                "detector": hash_file(files.detector),
                "segmenter": hash_file(files.segmenter),
                "threshold": files.threshold,
                "prompt_rule": files.prompt_rule,
                "prompt_count": files.prompt_count,
                "presence_threshold": files.presence_threshold,
                "runtimes": [detector.computes, segmenter.computes],
                "threads": threads,
            },
        )

    @property
    def runtimes(self) -> dict[str, str]:
        """Descriptions of the runtimes of the detector and the segmenter."""
        return {"detector": self._detector.computes, "segmenter": self._segmenter.computes}

    def detect(self, mammogram: Mammogram, *, threshold: float | None) -> list[Detection]:
        """Return the cluster boxes in original pixels, highest score first.

        Args:
            mammogram: the mammogram.
            threshold: least detector score, in [0, 1]; None for the operating point.
        """
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
    ) -> ImageFindings:
        """Return the findings of a mammogram, and the number of detections beyond `MAX_FINDINGS`.

        Args:
            mammogram: the mammogram.
            threshold: least detector score of the project, in [0, 1]; None for the operating point.
            detections: detections of this mammogram at the same or a lower threshold; None runs the detector.
        """
        if threshold is None:
            threshold = self.threshold
        if detections is None:
            detections = self.detect(mammogram, threshold=threshold)
        above = [detection for detection in detections if detection.score >= threshold]
        best = sorted(above, key=lambda detection: -detection.score)[:MAX_FINDINGS]
        return ImageFindings(
            findings=tuple(
                self._finding(mammogram, detection, f"c{index}") for index, detection in enumerate(best, 1)
            ),
            num_cut=len(above) - len(best),
            landmarks=_landmarks(mammogram) if best else None,
        )

    def answer(
        self,
        mammogram: Mammogram,
        box: Box | None,
        positive: Sequence[Point],
        negative: Sequence[Point],
        *,
        previous: Segmentation | None = None,
    ) -> Segmentation:
        """Segment the lesion at a person's prompts. The presence threshold is not applied.

        Args:
            mammogram: the mammogram.
            box: drawn box in original pixels, or None.
            positive: clicks on the lesion; the mask contains them.
            negative: clicks beside the lesion; the mask does not contain them.
            previous: segmentation of the previous clicks, to be refined; ignored if its ROI is another one.

        Raises:
            InvalidPrompt: there is neither a box nor a positive click, or a prompt lies outside the image or the
                breast.
        """
        if box is None and not positive:
            raise InvalidPrompt(
                f"expected a box or at least one positive point, got {len(negative)} negative points only; "
                "click the lesion first"
            )
        size = mammogram.size
        for point in (*positive, *negative):
            if not size.box.contains(point):
                raise InvalidPrompt(
                    f"expected points inside an image of {size.width} x {size.height} pixels, got "
                    f"({point.x}, {point.y})"
                )
        region = box or _box_around(positive, mammogram)
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

    def reconsider(
        self, mammogram: Mammogram, mask: Mask, positive: Sequence[Point], negative: Sequence[Point]
    ) -> Segmentation:
        """Segment the lesion of an outline again, at a person's clicks in it and beside it.

        The network gets the mask as its previous answer, its box, and the clicks; without a positive click, the specks
        in the mask too. What it answers may differ from the mask anywhere: see `mammo.masks.corrections`.

        Args:
            mammogram: the mammogram.
            mask: the lesion's pixels so far, inside the image.
            positive: clicks on the lesion; the answer contains them.
            negative: clicks beside the lesion; the answer does not contain them.

        Raises:
            InvalidPrompt: a click lies outside the image, there are too many, or the image is empty there.
        """
        clicks = (*positive, *negative)
        box = mask.frame
        for point in clicks:
            box = box.union(Box(point.x, point.y, point.x + 1, point.y + 1))
        embedding = self._segmenter.embed_click(
            mammogram.pixels,
            box,
            spacing=mammogram.spacing,
            image=mammogram.sha256,
            points=clicks,
            drawn=True,
        )
        return self._segmenter.segment(
            embedding,
            box=box.within(mammogram.size),
            points=tuple(positive) or self._points(mammogram, mask.frame, count=self._prompt_count),
            negative=negative,
            binding=clicks,
            previous=segmentation_of(mask, embedding.roi),
        )

    def describe(self, mammogram: Mammogram, mask: Mask) -> str:
        """Return the size, the specks and the contrast of a mask, for a reader; see `mammo.evidence`."""
        return evidence(mammogram.pixels, mask, spacing=mammogram.spacing).text()

    def specks(self, mammogram: Mammogram, mask: Mask) -> tuple[Point, ...]:
        """Return the specks in a mask, strongest first; see `mammo.words.features.specks_of`."""
        return specks_of(mammogram, mask)

    def calcifications(self, mammogram: Mammogram, box: Box) -> list[Mask]:
        """Return the masks of the calcifications in a box, largest first.

        Args:
            mammogram: the mammogram.
            box: of a cluster, or of one calcification; the masks lie inside the slightly dilated box.

        Raises:
            InvalidPrompt: the box lies outside the image.
        """
        points = self._points(mammogram, box.within(mammogram.size), count=MAX_CALCIFICATION_PROMPTS)
        segmentation = self._segmenter.segment_calcifications(
            mammogram.pixels, box, spacing=mammogram.spacing, points=points
        )
        if segmentation.mask is None:
            return []
        return instances_of(
            segmentation.mask, spacing=mammogram.spacing, min_diameter_mm=MIN_CALCIFICATION_MM, gap_mm=GAP_MM
        )

    def _finding(self, mammogram: Mammogram, detection: Detection, name: str) -> Finding:
        points = self._points(mammogram, detection.box, count=self._prompt_count)
        finding = Finding(label=CLUSTER, score=detection.score, box=detection.box, prompts=points, id=name)
        try:
            embedding = self._segmenter.embed(
                mammogram.pixels, detection.box, spacing=mammogram.spacing, image=mammogram.sha256
            )
            segmentation = self._segmenter.segment(embedding, box=detection.box, points=points)
        except InvalidPrompt as error:
            # A box beside the breast has no mask; the other findings remain valid.
            log.warning("a detection has no mask", code=error.code)
            return finding
        presence = segmentation.presence
        absent = presence is not None and presence < self._presence_threshold
        mask = None if absent else segmentation.mask
        words = f"{in_words(detection.score, threshold=self.threshold)} ({detection.score:.2f})"
        measured = [self.describe(mammogram, mask)] if mask else []
        return replace(
            finding,
            mask=mask,
            presence=presence,
            text=(", ".join([words, *measured]),),
            pixels_per_logit=segmentation.pixels_per_logit,
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


def _box_around(points: Sequence[Point], mammogram: Mammogram) -> Box:
    """Return a box of `CLICK_BOX_MM` around the first point, extended to the other points."""
    spacing = mammogram.spacing or ASSUMED_SPACING
    width, height = (max(1, round(CLICK_BOX_MM / side)) for side in (spacing.column_mm, spacing.row_mm))
    box = Box.centred(points[0].x + 0.5, points[0].y + 0.5, width=width, height=height)
    for point in points[1:]:
        box = box.union(Box(point.x, point.y, point.x + 1, point.y + 1))
    return box.within(mammogram.size)


def _landmarks(mammogram: Mammogram) -> Landmarks | None:
    """Return the landmarks of a breast; None where they cannot be found."""
    cells = find_breast(mammogram.pixels).cells
    try:
        return Landmarks.of(cells, size=mammogram.size, spacing=mammogram.spacing or ASSUMED_SPACING)
    except UnreadableImage:
        return None
