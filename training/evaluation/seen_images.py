"""SeenImages: the truth and the findings of an evaluation, image by image, for the verdict's record."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from mammo.findings import Finding
from mammo.geometry import Box, Spacing
from mammo.verdicts.record import Answer, Found, Image, Lesion
from mammo.verdicts.shapes import shape_of
from training.cases import Case
from training.evaluation.image_result import ImageFacts
from training.metrics import centre_rule, pair

if TYPE_CHECKING:  # brings torch in
    from mammo.detector import Detection


class SeenImages:
    """Observes an evaluation; see `training.evaluation.model_version.Observer`."""

    def __init__(self) -> None:
        self._images: list[Any] = []

    def __call__(
        self,
        case: Case,
        facts: ImageFacts,
        detections: Sequence[Detection],
        findings: Sequence[Finding],
    ) -> None:
        answer = _answer(case, detections, findings)
        size, spacing = facts.size, facts.spacing
        image = Image(
            sha256=case.image,
            patient=case.patient,
            task=case.task,
            view=f"{facts.laterality or ''}{facts.view or ''}" or None,
            size=(size.width, size.height),
            spacing=(spacing.row_mm, spacing.column_mm) if spacing else None,
            lesions=tuple(
                Lesion(shape=shape_of(each), diameter_mm=_diameter(each.box, spacing)) for each in case.truth
            ),
            champion=answer,
            challenger=answer,
        )
        self._images.append(image.model_dump(exclude={"challenger", "levels"}))

    def to_bytes(self) -> bytes:
        """Return the images, as compressed JSON."""
        return gzip.compress(orjson.dumps(self._images), mtime=0)


def images_of(champion: bytes, challenger: bytes) -> tuple[Image, ...]:
    """Join what two evaluations of the same cases have seen.

    Args:
        champion, challenger: by `SeenImages.to_bytes`.
    """
    before, after = (orjson.loads(gzip.decompress(content)) for content in (champion, challenger))
    return tuple(
        Image.model_validate_json(orjson.dumps({**old, "challenger": new["champion"]}))
        for old, new in zip(before, after, strict=True)
    )


def _answer(case: Case, detections: Sequence[Detection], findings: Sequence[Finding]) -> Answer:
    truth = [finding.box for finding in case.truth]
    best: list[float | None] = [None] * len(truth)
    for detection, lesion in pair(detections, truth, uncertain=case.uncertain, rule=centre_rule):
        if lesion is not None:
            best[lesion] = detection.score
    shown = pair(findings, truth, uncertain=case.uncertain, rule=centre_rule)
    found = [
        Found(shape=shape_of(finding), score=finding.score, lesion=lesion, dice=_dice(finding, lesion, case))
        for finding, lesion in shown
    ]
    return Answer(found=tuple(found), best=tuple(best))


def _dice(finding: Finding, lesion: int | None, case: Case) -> float | None:
    truth = None if lesion is None else case.truth[lesion].mask
    return None if truth is None or finding.mask is None else truth.dice(finding.mask)


def _diameter(box: Box, spacing: Spacing | None) -> float | None:
    return max(box.width * spacing.column_mm, box.height * spacing.row_mm) if spacing else None
