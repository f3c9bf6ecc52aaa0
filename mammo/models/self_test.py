"""Self-test: does a model version see here what it saw where it was made?

A small phantom travels with the package (`starter/self_test.png`: `phantom_view(90210, clusters=2, width=768,
height=1024, num_distractors=2)`, 12 bits, 0.07 mm). What a version finds in it is written into its manifest when it is
registered, and compared before it serves: damaged weights are caught by their hash, but a wrong library, a broken GPU
or a runtime that computes something else are caught only by looking at what comes out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np

from mammo.dicom import Mammogram
from mammo.errors import InvalidWeights
from mammo.findings import Finding
from mammo.geometry import Box, Spacing
from mammo.models import STARTER

IMAGE = STARTER / "self_test.png"
BITS = 12
SPACING_MM = 0.07
MIN_SCORE = 0.05
"""Findings from this score on are compared, whatever the operating point."""

MAX_FINDINGS = 8
SCORE_TOLERANCE = 0.03
"""The detector in bfloat16 stays within 0.02 of float32; other machines in float32 within 1e-4."""

MIN_IOU = 0.85
"""Of a box with the box it was."""

AREA_TOLERANCE = 0.1
"""Relative, of a mask."""


Find = Callable[[Mammogram], list[Finding]]
"""A model's `prelabel` at the threshold `MIN_SCORE`."""


def record(find: Find) -> dict[str, Any]:
    """What a model finds in the phantom, as its manifest keeps it: JSON values.

    `image` is the SHA-256 of the phantom's file; `findings` holds `score` in [0, 1], `box` (x0, y0, x1, y1 in pixels)
    and the mask's `area` in pixels, best first.
    """
    found = find(self_test_phantom())[:MAX_FINDINGS]
    rows = [
        {
            "score": round(finding.score, 4),
            "box": [finding.box.x0, finding.box.y0, finding.box.x1, finding.box.y1],
            "area": finding.mask.area if finding.mask else 0,
        }
        for finding in found
    ]
    return {"image": self_test_phantom().sha256, "findings": rows}


def check(find: Find, expected: Mapping[str, Any], *, version: str) -> None:
    """Compare with what the manifest says; findings within the tolerance of the least score may be missing or new.

    Raises:
        InvalidWeights: it finds something else (code `self_test_failed`), or was recorded on another phantom
            (code `self_test_unknown`).
    """
    if expected.get("image") != self_test_phantom().sha256:
        raise InvalidWeights(
            f"the self-test of {version} was recorded on another phantom than the one of this release",
            code="self_test_unknown",
        )
    seen, awaited = record(find)["findings"], list(expected["findings"])
    for row in awaited:
        partner = _partner(row, seen)
        if partner is not None:
            seen.remove(partner)
        elif _counts(row):
            raise _failed(version, f"it should find {_told(row)}, and does not")
    for row in seen:
        if _counts(row) and len(awaited) < MAX_FINDINGS:
            raise _failed(version, f"it finds {_told(row)}, which it should not")


@cache
def self_test_phantom() -> Mammogram:
    """The phantom: 1024 x 768, two clusters."""
    content = IMAGE.read_bytes()
    stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise InvalidWeights(f"{IMAGE.name} is damaged; install the package again")
    return Mammogram(
        pixels=(stored / np.float32(2**BITS - 1)).astype(np.float32),
        spacing=Spacing(SPACING_MM, SPACING_MM, "given"),
        laterality=None,
        view=None,
        patient=None,
        sha256=hashlib.sha256(content).hexdigest(),
        depth=BITS,
    )


def _partner(row: Mapping[str, Any], seen: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for other in seen:
        same_box = _box(row).iou(_box(other)) >= MIN_IOU
        same_score = abs(row["score"] - other["score"]) <= SCORE_TOLERANCE
        if same_box and same_score and abs(row["area"] - other["area"]) <= AREA_TOLERANCE * row["area"]:
            return other
    return None


def _counts(row: Mapping[str, Any]) -> bool:
    return float(row["score"]) >= MIN_SCORE + SCORE_TOLERANCE


def _box(row: Mapping[str, Any]) -> Box:
    return Box(*row["box"])


def _told(row: Mapping[str, Any]) -> str:
    return f"a cluster at {row['box']} with score {row['score']:.3f} and {row['area']} pixels"


def _failed(version: str, what: str) -> InvalidWeights:
    return InvalidWeights(
        f"{version} fails its self-test: {what}; it does not serve on this machine", code="self_test_failed"
    )
