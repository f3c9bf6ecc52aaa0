"""Predictions: what Label Studio shows for a task before it is annotated.

A task has two numbers. `suspicion` is the prediction's score, which the Data Manager shows: the higher, the more likely
is a cluster. `certainty` decides what is read first in active learning, and what a project may accept automatically: a
prediction is as certain as its least certain finding. Both are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import to_regions

NOTHING_FOUND_CERTAINTY = 0.5
"""Certainty of an empty prediction. It ranks before confident findings: a miss costs more than a false alarm."""


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
    regions = to_regions(findings, size=size, tags=tags, model_version=model_version, packed=packed)
    return {"result": regions, "score": suspicion(regions), "model_version": model_version}


def suspicion(regions: Iterable[Mapping[str, Any]]) -> float:
    """Return the highest score of a prediction's regions; 0 if nothing was found."""
    return max((float(region["score"]) for region in regions if "score" in region), default=0.0)


def certainty(findings: Iterable[Finding]) -> float:
    """Return the lowest score of a task's findings; `NOTHING_FOUND_CERTAINTY` without findings."""
    return min((finding.score for finding in findings), default=NOTHING_FOUND_CERTAINTY)
