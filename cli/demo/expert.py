"""A scripted expert: corrects prelabels as a careful reader would, with the phantom's truth as eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mammo.findings import Finding

ACCEPTED_DICE = 0.85
"""A mask this close to the truth is left alone. A laxer reader would hand the model its own masks back as
truth, and the gate, which judges on what readers left, would favour the model that drew them."""

ACCEPTED_IOU = 0.6
"""A box this close to the truth is left alone."""


def correct(prelabel: Sequence[Finding], truth: Sequence[Finding]) -> list[Finding]:
    """The findings after the expert's corrections.

    A prelabel on a true cluster is accepted when mask and box are close enough, else redrawn (it keeps its id);
    a prelabel on nothing is deleted; a missed cluster is added.

    Args:
        prelabel: what the model proposed, best first.
        truth: what is really there; every finding has a mask.
    """
    missing = list(truth)
    corrected: list[Finding] = []
    for finding in prelabel:
        target = _target(finding, missing)
        if target is None:
            continue  # deleted: nothing is there, or somebody else marked it already
        missing.remove(target)
        corrected.append(finding if _is_close(finding, target) else _redrawn(finding, target))
    return corrected + [replace(target, id=f"expert-{index}") for index, target in enumerate(missing, 1)]


def _target(finding: Finding, truth: Sequence[Finding]) -> Finding | None:
    """The true cluster that a finding means: the one it overlaps most."""
    best = max(truth, key=lambda target: finding.box.iou(target.box), default=None)
    return best if best is not None and finding.box.iou(best.box) > 0.1 else None


def _is_close(finding: Finding, target: Finding) -> bool:
    if finding.mask is None or target.mask is None:
        return False
    return finding.mask.dice(target.mask) >= ACCEPTED_DICE and finding.box.iou(target.box) >= ACCEPTED_IOU


def _redrawn(finding: Finding, target: Finding) -> Finding:
    return replace(target, id=finding.id, score=1.0)
