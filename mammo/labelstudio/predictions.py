"""Predictions: what Label Studio shows for a task before it is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import to_regions

NOTHING_FOUND_SCORE = 0.5
"""Score of an empty prediction. It ranks before confident findings, because a miss costs more than a false alarm."""


def prediction(
    findings: Sequence[Finding], *, size: Size, tags: ControlTags, model_version: str, packed: bool = False
) -> dict[str, Any]:
    """Return the prediction for a task with one image: `{"result", "score", "model_version"}`.

    Args:
        findings: of the mammogram; empty means that nothing was found.
        size: of the mammogram.
        tags: control tags of the image.
        model_version: the same string that `/setup` returns.
        packed: return each brush RLE as a uint8 array; see `to_regions`.
    """
    return {
        "result": to_regions(findings, size=size, tags=tags, model_version=model_version, packed=packed),
        "score": priority(findings),
        "model_version": model_version,
    }


def priority(findings: Sequence[Finding]) -> float:
    """Return the task's score for uncertainty sampling, in [0, 1]; Label Studio shows the lowest first.

    It is the lowest score of the findings, or `NOTHING_FOUND_SCORE` without findings.
    """
    return min((finding.score for finding in findings), default=NOTHING_FOUND_SCORE)
