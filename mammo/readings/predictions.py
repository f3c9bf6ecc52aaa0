"""What a reader's second look and the arbiter are shown: earlier readings, as predictions.

The arbiter sees both readings as "reading A" and "reading B". Which reader is A is drawn for each case by a keyed
hash, so it is always the same and nobody can tell; and what could tell (region ids, scores, who, when, with which
tool) is drawn anew. Both predictions carry one model version, since Label Studio shows those of one version only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mammo.annotations import Correction
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import size_of
from mammo.labelstudio.rendering import truth_regions
from mammo.readings.cases import Case, findings_of

READINGS = "readings"
"""Model version of the two readings that the arbiter sees."""

OWN = "your reading before"
"""Model version of the own reading that a reader's second look begins with."""

NAMES = ("reading A", "reading B")


def swapped(source: int, case: int, *, secret: bytes) -> bool:
    """Whether the second reader's reading is called A in this case."""
    drawn = hmac.new(secret, f"arbiter {source} {case}".encode(), hashlib.sha256).digest()
    return bool(drawn[0] & 1)


def basis(case: Case) -> str:
    """Names the two readings that a disagreement is about."""
    assert case.readings is not None
    return hashlib.sha256("".join(each.content_hash for each in case.readings).encode()).hexdigest()[:16]


def for_the_arbiter(case: Case, *, source: int, secret: bytes, tags: ControlTags) -> list[dict[str, Any]]:
    """Both readings of a disagreement as predictions, anonymous, A first.

    Raises:
        InvalidRegion: a reading cannot be understood.
    """
    assert case.readings is not None
    assert case.agreement is not None
    size = _size(case.readings)
    readings = [findings_of(each, tags) for each in case.readings]
    if swapped(source, case.case, secret=secret):
        readings.reverse()
    return [
        {
            "result": _anonymous(findings, name=name, size=size, tags=tags),
            "score": case.agreement.worst_dice,
            "model_version": READINGS,
        }
        for name, findings in zip(NAMES, readings, strict=True)
    ]


def for_a_second_look(before: Correction) -> list[dict[str, Any]]:
    """A reader's own reading as a prediction, region by region as it was drawn."""
    return [{"result": before.result, "score": 0.5, "model_version": OWN}]


def _anonymous(
    findings: Sequence[Finding], *, name: str, size: Size, tags: ControlTags
) -> list[dict[str, Any]]:
    bare = [replace(finding, id="", score=1.0, prompts=()) for finding in findings]
    bare.sort(key=lambda finding: finding.box.as_tuple())  # not in the order in which they were drawn
    regions = truth_regions(bare, size=size, tags=tags, source=name)
    return [
        {key: value for key, value in region.items() if key != "score"} | {"meta": {"text": [name]}}
        for region in regions
    ]


def _size(readings: Sequence[Correction]) -> Size:
    """Of the image, as the regions state it; two readings that disagree hold at least one."""
    for reading in readings:
        for region in reading.result:
            if "original_width" in region:
                return size_of(region)
    raise AssertionError("two empty readings agree")
