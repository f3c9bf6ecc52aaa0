"""Self-test: does a model version find the same on this machine as on the one it was trained on?

The package contains a small phantom (`starter/self_test.png`: `phantom_view(90210, clusters=2, width=768, height=1024,
num_distractors=2)`, 12 bits, 0.07 mm). The findings of a version in it are stored in its manifest at registration, and
compared before it serves. Hashes detect damaged weights; only a comparison of results detects a wrong library, a broken
GPU, or a runtime that computes something else.
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
from mammo.findings import ImageFindings
from mammo.geometry import Box, Spacing
from mammo.models import STARTER

IMAGE = STARTER / "self_test.png"
BITS = 12
SPACING_MM = 0.07
MIN_SCORE = 0.05
"""Lowest score of findings that are compared, whatever the operating point."""

MAX_COMPARED = 8
"""Maximum number of findings that are recorded and compared."""

SCORE_TOLERANCE = 0.03
"""Largest difference of scores. In bfloat16 the detector stays within 0.02 of float32, on other machines in float32
within 1e-4."""

MIN_IOU = 0.85
"""Lowest IoU of a box with the recorded box."""

AREA_TOLERANCE = 0.1
"""Largest relative difference of mask areas."""

Find = Callable[[Mammogram], ImageFindings]
"""A model's `prelabel` at the threshold `MIN_SCORE`."""


def record(find: Find) -> dict[str, Any]:
    """Return a model's findings in the phantom as a JSON object, for its manifest.

    `image` is the SHA-256 of the phantom's file; `findings` has `score` in [0, 1], `box` (x0, y0, x1, y1 in pixels)
    and the mask's `area` in pixels, best first.
    """
    findings = find(self_test_phantom()).findings[:MAX_COMPARED]
    rows = [
        {
            "score": round(finding.score, 4),
            "box": [finding.box.x0, finding.box.y0, finding.box.x1, finding.box.y1],
            "area": finding.mask.area if finding.mask else 0,
        }
        for finding in findings
    ]
    return {"image": self_test_phantom().sha256, "findings": rows}


def check(find: Find, expected: Mapping[str, Any], *, version: str) -> None:
    """Compare a model's findings with those in its manifest; findings close to `MIN_SCORE` may be missing or new.

    Args:
        expected: Result of `record`, from the manifest.

    Raises:
        InvalidWeights: The findings differ (code `self_test_failed`), or were recorded on another phantom (code
            `self_test_unknown`).
    """
    if expected.get("image") != self_test_phantom().sha256:
        raise InvalidWeights(
            f"the self-test of {version} was recorded on another phantom than that of this release",
            code="self_test_unknown",
        )
    actual, recorded = record(find)["findings"], list(expected["findings"])
    for row in recorded:
        match = _match(row, actual)
        if match is not None:
            actual.remove(match)
        elif _is_required(row):
            raise _failed(version, f"it does not find {_description(row)}")
    for row in actual:
        if _is_required(row) and len(recorded) < MAX_COMPARED:
            raise _failed(version, f"it additionally finds {_description(row)}")


@cache
def self_test_phantom() -> Mammogram:
    """Return the phantom: 1024 x 768 pixels, two clusters."""
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


def _match(row: Mapping[str, Any], candidates: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for other in candidates:
        same_box = _box(row).iou(_box(other)) >= MIN_IOU
        same_score = abs(row["score"] - other["score"]) <= SCORE_TOLERANCE
        if same_box and same_score and abs(row["area"] - other["area"]) <= AREA_TOLERANCE * row["area"]:
            return other
    return None


def _is_required(row: Mapping[str, Any]) -> bool:
    return float(row["score"]) >= MIN_SCORE + SCORE_TOLERANCE


def _box(row: Mapping[str, Any]) -> Box:
    return Box(*row["box"])


def _description(row: Mapping[str, Any]) -> str:
    return f"a cluster at {row['box']} with score {row['score']:.3f} and {row['area']} pixels"


def _failed(version: str, what: str) -> InvalidWeights:
    return InvalidWeights(
        f"{version} fails its self-test: {what}; it will not serve on this machine", code="self_test_failed"
    )
