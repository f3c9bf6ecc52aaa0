"""Evaluate: run a model version over cases with `mammo.pipeline`, the very code that serves, and keep every number."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mammo.dicom import Mammogram
from mammo.findings import Finding
from training.cases import Case, Progress
from training.metrics import Froc, Hits, centre_rule, froc, judged, lesion_dice, match

if TYPE_CHECKING:
    from mammo.detector import Detection

LOW_THRESHOLD = 0.01
"""Detections below this score take no part in the FROC curve."""


class Prelabels(Protocol):
    """What is evaluated; `mammo.pipeline.Prelabeller` in earnest."""

    version: str
    threshold: float

    def detect(self, mammogram: Mammogram, *, threshold: float | None) -> list[Detection]: ...

    def prelabel(
        self, mammogram: Mammogram, *, threshold: float | None, detections: Sequence[Detection] | None = None
    ) -> list[Finding]: ...


@dataclass(frozen=True)
class ImageScore:
    """One image."""

    image: str
    """SHA-256 of the image file."""

    patient: str
    """Patient key."""

    hits: Hits
    """At every threshold from `LOW_THRESHOLD` up."""

    dice: tuple[float, ...]
    """Of each true cluster with a mask, at the operating point; 0 where it was missed."""

    num_findings: int
    """At the operating point; those of which nobody can say whether they are right are not counted."""

    seconds: float
    """Of detector and segmenter together."""


@dataclass(frozen=True)
class Evaluation:
    """One model version on one set of cases."""

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
    def froc(self) -> Froc:
        """Raises ValueError without lesions."""
        return froc([image.hits for image in self.images])

    @property
    def dice(self) -> float:
        """Mean over all true clusters with a mask, the missed ones as 0; NaN without any."""
        values = [dice for image in self.images for dice in image.dice]
        return sum(values) / len(values) if values else math.nan

    def to_json(self) -> dict[str, Any]:
        """Every number, image by image."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Evaluation:
        """What `to_json` wrote."""
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


def evaluate(prelabeller: Prelabels, cases: Sequence[Case], *, progress: Progress) -> Evaluation:
    """Run a model version over cases.

    Args:
        prelabeller: `mammo.pipeline.Prelabeller`.
        cases: with masks, in original pixels.
        progress: told after each image; may raise `Cancelled`.
    """
    images = []
    for index, case in enumerate(cases, 1):
        mammogram = case.read()
        started = time.perf_counter()
        detections = prelabeller.detect(mammogram, threshold=min(LOW_THRESHOLD, prelabeller.threshold))
        findings = prelabeller.prelabel(mammogram, threshold=None, detections=detections)
        seconds = time.perf_counter() - started
        truth = [finding.box for finding in case.truth]
        findings = judged(findings, truth, uncertain=case.uncertain)
        images.append(
            ImageScore(
                image=case.image,
                patient=case.patient,
                hits=match(detections, truth, uncertain=case.uncertain, rule=centre_rule),
                dice=lesion_dice(findings, case.truth),
                num_findings=len(findings),
                seconds=round(seconds, 3),
            )
        )
        progress(index / len(cases), f"{index} of {len(cases)} images")
    return Evaluation(prelabeller.version, prelabeller.threshold, tuple(images))
