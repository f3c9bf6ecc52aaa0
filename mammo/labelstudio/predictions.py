"""A prediction: what Label Studio stores and shows for one task before a person has worked on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import to_regions

NOTHING_FOUND_SCORE = 0.5
"""Score of an empty prediction: a miss costs more than a false alarm, so look at it before sure findings."""


def prediction(
    findings: Sequence[Finding], *, size: Size, tags: ControlTags, model_version: str, packed: bool = False
) -> dict[str, Any]:
    """`{"result", "score", "model_version"}` for one task.

    Args:
        findings: of one mammogram; empty means that nothing was found.
        size: of the mammogram.
        tags: control tags of the project.
        model_version: the same string that `/setup` answers.
        packed: brush streams as arrays of bytes; see `to_regions`.
    """
    return {
        "result": to_regions(findings, size=size, tags=tags, model_version=model_version, packed=packed),
        "score": priority(findings),
        "model_version": model_version,
    }


def priority(findings: Sequence[Finding]) -> float:
    """How little a person is needed, in [0, 1]: Label Studio's uncertainty sampling shows the lowest first.

    The least certain finding decides; `NOTHING_FOUND_SCORE` when there is none.
    """
    return min((finding.score for finding in findings), default=NOTHING_FOUND_SCORE)
