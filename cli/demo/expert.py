"""A scripted expert: corrects prelabels against the phantom's truth, as a careful reader would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mammo.findings import Finding

ACCEPTED_DICE = 0.85
"""Masks at least this close to the truth are accepted. A laxer reader would return the model's own masks as
truth, and the gate, which judges on corrected masks, would favour the model that drew them."""

ACCEPTED_IOU = 0.6
"""Boxes at least this close to the truth are accepted."""


def correct(prelabel: Sequence[Finding], truth: Sequence[Finding]) -> list[Finding]:
    """Return the findings after the expert's corrections.

    A prelabel on a true cluster is accepted if mask and box are close enough, else redrawn under the same id.
    A prelabel on no cluster is deleted, and a missed cluster is added.

    Args:
        prelabel: findings of the model, best first.
        truth: true clusters, each with a mask.
    """
    missing = list(truth)
    corrected: list[Finding] = []
    for finding in prelabel:
        target = _target(finding, missing)
        if target is None:
            continue  # deleted: there is no cluster, or a better prelabel marks it already
        missing.remove(target)
        corrected.append(finding if _is_close(finding, target) else _redrawn(finding, target))
    return corrected + [replace(target, id=f"expert-{index}") for index, target in enumerate(missing, 1)]


def _target(finding: Finding, truth: Sequence[Finding]) -> Finding | None:
    """Return the true cluster that a finding overlaps most, if it overlaps one."""
    best = max(truth, key=lambda target: finding.box.iou(target.box), default=None)
    return best if best is not None and finding.box.iou(best.box) > 0.1 else None


def _is_close(finding: Finding, target: Finding) -> bool:
    if finding.mask is None or target.mask is None:
        return False
    return finding.mask.dice(target.mask) >= ACCEPTED_DICE and finding.box.iou(target.box) >= ACCEPTED_IOU


def _redrawn(finding: Finding, target: Finding) -> Finding:
    return replace(target, id=finding.id, score=1.0)
