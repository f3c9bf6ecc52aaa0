"""Earlier readings as Label Studio predictions, for the arbiter and for a reader's second look.

The arbiter sees both readings as "reading A" and "reading B". A keyed hash of the case decides which reader is A, so
the choice is stable but cannot be guessed. Everything that could identify a reader (region ids, scores, author, time,
tool, order, comments) is replaced or left out; words of BI-RADS are kept. Both predictions have the same model version,
because Label Studio shows only one version.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Any

from mammo.annotations import Correction
from mammo.geometry import Size
from mammo.labelstudio.descriptors import exam_descriptors, exam_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import size_of
from mammo.labelstudio.rendering import truth_regions
from mammo.readings.cases import Case
from mammo.readings.task_readings import findings_by_image

ARBITER_VERSION = "readings"
"""Model version of the two readings in the arbiter's project."""

SECOND_LOOK_VERSION = "your reading before"
"""Model version of the reader's own earlier reading in a second look."""

NAMES = ("reading A", "reading B")


def swapped(source: int, case: int, *, secret: bytes) -> bool:
    """Return whether reading A of this case is the second reader's.

    Args:
        source: Source project.
        case: Task of the source project.
        secret: Key of the hash.
    """
    digest = hmac.new(secret, f"arbiter {source} {case}".encode(), hashlib.sha256).digest()
    return bool(digest[0] & 1)


def basis(case: Case) -> str:
    """Return a digest of the two readings that the case's disagreement is about: 16 hexadecimal digits."""
    assert case.readings is not None
    return hashlib.sha256("".join(reading.content_hash for reading in case.readings).encode()).hexdigest()[
        :16
    ]


def arbiter_predictions(case: Case, *, source: int, secret: bytes, tags: ControlTags) -> list[dict[str, Any]]:
    """Return both readings of a disagreement as anonymous predictions, reading A first.

    Raises:
        InvalidRegion: A reading cannot be interpreted.
    """
    assert case.readings is not None
    assert case.agreement is not None
    readings = list(case.readings)
    if swapped(source, case.id, secret=secret):
        readings.reverse()
    return [
        {
            "result": _anonymous(reading, name=name, tags=tags),
            "score": case.agreement.worst_dice,
            "model_version": ARBITER_VERSION,
        }
        for name, reading in zip(NAMES, readings, strict=True)
    ]


def second_look_predictions(reading: Correction) -> list[dict[str, Any]]:
    """Return a reader's own earlier reading as a prediction, with its regions unchanged."""
    return [{"result": reading.result, "score": 0.5, "model_version": SECOND_LOOK_VERSION}]


def _anonymous(reading: Correction, *, name: str, tags: ControlTags) -> list[dict[str, Any]]:
    """Return what a reading says, without what its reader could be recognised by."""
    findings = findings_by_image(reading, tags)
    regions: list[dict[str, Any]] = []
    for image in tags.on(reading.task_data):
        on_image = [
            replace(each, id="", score=1.0, prompts=(), comment="")
            for each in findings.get(image.image_key, [])
        ]
        on_image.sort(key=lambda finding: finding.box.as_tuple())  # hides the drawing order
        if on_image:
            regions += truth_regions(on_image, size=_image_size(reading, image), tags=image, source=name)
    exam = exam_regions(exam_descriptors(reading.result, tags).stated, tags)
    return [
        {key: value for key, value in region.items() if key != "score"} | {"meta": {"text": [name]}}
        for region in [*regions, *exam]
    ]


def _image_size(reading: Correction, image: ControlTags) -> Size:
    """Return the size that the regions on an image state; only asked for an image with a finding."""
    return next(size_of(each) for each in reading.result if "original_width" in each and image.shows(each))
