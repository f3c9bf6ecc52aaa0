"""Evaluation of a model version on cases with known truth, through `mammo.pipeline`: the code that serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mammo.findings import Finding
from training.cases import Case, Progress
from training.evaluation.cache import EvaluationCache
from training.evaluation.image_result import ImageFacts, ImageResult
from training.metrics import Froc, Hits, centre_rule, froc, judged, lesion_dice, match
from training.metrics.ratio import ratio

if TYPE_CHECKING:  # these bring torch in
    from mammo.detector import Detection
    from mammo.pipeline import Prelabeller

LOW_THRESHOLD = 0.01
"""Lowest score of a detection that counts in a FROC curve."""


@dataclass(frozen=True)
class ImageScore:
    """The results of one image."""

    image: str
    """SHA-256 of the image file."""

    patient: str
    """Patient key."""

    hits: Hits
    """Of the detections with a score of at least `LOW_THRESHOLD`."""

    dice: tuple[float, ...]
    """Of each true cluster with a mask, at the operating point; 0 for a missed cluster."""

    num_findings: int
    """Findings at the operating point, without those that cannot be judged (`training.metrics.is_judged`)."""

    seconds: float
    """Duration of detector and segmenter together."""


@dataclass(frozen=True)
class Evaluation:
    """The results of one model version on one set of cases."""

    version: str
    threshold: float
    images: tuple[ImageScore, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        return tuple(sorted({image.patient for image in self.images}))

    @property
    def num_lesions(self) -> int:
        return sum(image.hits.num_lesions for image in self.images)

    @property
    def false_positives(self) -> float:
        """False positives per image at the operating point; NaN without an image."""
        false = [
            score >= self.threshold and not true
            for image in self.images
            for score, true in zip(image.hits.scores, image.hits.true, strict=True)
        ]
        return ratio(float(sum(false)), len(self.images))

    @property
    def froc(self) -> Froc:
        """The FROC curve over all images.

        Raises:
            ValueError: there is no true cluster.
        """
        return froc([image.hits for image in self.images])

    @property
    def dice(self) -> float:
        """Mean Dice over all true clusters with a mask, missed ones counted as 0; NaN without any."""
        values = [dice for image in self.images for dice in image.dice]
        return ratio(sum(values), len(values))

    def to_json(self) -> dict[str, Any]:
        """Every number, image by image."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Evaluation:
        """Inverse of `to_json`."""
        images = (
            ImageScore(
                **{
                    **image,
                    "hits": Hits(
                        tuple(image["hits"]["scores"]),
                        tuple(image["hits"]["true"]),
                        image["hits"]["num_lesions"],
                        image["hits"].get("undecided", False),
                    ),
                    "dice": tuple(image["dice"]),
                }
            )
            for image in content["images"]
        )
        return cls(content["version"], content["threshold"], tuple(images))


class Observer(Protocol):
    """Receives the results of each image."""

    def __call__(
        self,
        case: Case,
        facts: ImageFacts,
        detections: Sequence[Detection],
        findings: Sequence[Finding],
    ) -> None:
        """
        Args:
            detections: with a score of at least `LOW_THRESHOLD`.
            findings: at the operating point.
        """


def unobserved(
    case: Case, facts: ImageFacts, detections: Sequence[Detection], findings: Sequence[Finding]
) -> None:
    """An `Observer` that does nothing."""


def evaluate(
    prelabeller: Prelabeller,
    cases: Sequence[Case],
    *,
    progress: Progress,
    observe: Observer = unobserved,
    cache: EvaluationCache | None = None,
) -> Evaluation:
    """Prelabel every case and compare the result with its truth.

    Args:
        cases: with masks, in original pixels.
        progress: called after every image; may raise `Cancelled`.
        observe: called with the results of every image.
        cache: of what models found before; an image whose result is known is not even read. None: without.
    """
    images = []
    for index, case in enumerate(cases, 1):
        result = found_on(prelabeller, case, cache=cache)
        truth = [finding.box for finding in case.truth]
        findings = judged(result.findings, truth, uncertain=case.uncertain)
        observe(case, result.facts, result.detections, result.findings)
        images.append(
            ImageScore(
                image=case.image,
                patient=case.patient,
                hits=match(result.detections, truth, uncertain=case.uncertain, rule=centre_rule),
                dice=lesion_dice(findings, case.truth),
                num_findings=len(findings),
                seconds=round(result.seconds, 3),
            )
        )
        progress(index / len(cases), f"{index} of {len(cases)} images")
    return Evaluation(prelabeller.version, prelabeller.threshold, tuple(images))


def found_on(prelabeller: Prelabeller, case: Case, *, cache: EvaluationCache | None) -> ImageResult:
    """Return what a model finds on an image: its detections from `LOW_THRESHOLD` on, and its findings.

    Args:
        cache: of earlier results; None: without.
    """
    threshold = min(LOW_THRESHOLD, prelabeller.threshold)
    known = cache.get(prelabeller, case, threshold=threshold) if cache else None
    if known is not None:
        return known
    mammogram = case.read()
    began = time.perf_counter()
    detections = prelabeller.detect(mammogram, threshold=threshold)
    shown = prelabeller.prelabel(mammogram, threshold=None, detections=detections)
    result = ImageResult(
        facts=mammogram,
        detections=tuple(detections),
        findings=shown.findings,
        seconds=time.perf_counter() - began,
    )
    if cache:
        cache.put(prelabeller, case, result, threshold=threshold)
    return result
