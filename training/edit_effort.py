"""Edit effort: what a person had to do to a prelabel, the number that the whole loop exists to lower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mammo.findings import Finding
from mammo.masks import union

SAME = 0.99
"""From this overlap on a finding counts as untouched: percent coordinates and RLE round to whole pixels."""


@dataclass(frozen=True, kw_only=True)
class EditEffort:
    """Findings of one image, by what happened to them."""

    accepted: int
    """Left as they were."""

    edited: int
    """Kept, with another box or mask."""

    added: int
    """Drawn by the person: the model had missed them."""

    deleted: int
    """Removed: false positives."""

    dice: float | None
    """Of all pixels of the prelabel against all pixels of the correction, in [0, 1]; None when neither has any."""


def edit_effort(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> EditEffort:
    """Compare what was proposed with what the person left.

    Findings belong together when they carry the same id, or else when they overlap most; each is used once.
    """
    pairs = [
        (before.id == after.id != "", _overlap(before, after), row, column)
        for row, before in enumerate(prelabel)
        for column, after in enumerate(correction)
    ]
    rows: set[int] = set()
    columns: set[int] = set()
    accepted = 0
    for same_id, overlap, row, column in sorted(pairs, key=lambda pair: (not pair[0], -pair[1], *pair[2:])):
        if (same_id or overlap > 0) and row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            accepted += overlap >= SAME
    return EditEffort(
        accepted=accepted,
        edited=len(rows) - accepted,
        added=len(correction) - len(columns),
        deleted=len(prelabel) - len(rows),
        dice=_dice(prelabel, correction),
    )


def total_effort(efforts: Sequence[EditEffort]) -> EditEffort:
    """Counts summed over images; Dice as the mean over the images that have any pixels."""
    dice = [effort.dice for effort in efforts if effort.dice is not None]
    return EditEffort(
        accepted=sum(effort.accepted for effort in efforts),
        edited=sum(effort.edited for effort in efforts),
        added=sum(effort.added for effort in efforts),
        deleted=sum(effort.deleted for effort in efforts),
        dice=sum(dice) / len(dice) if dice else None,
    )


def _overlap(before: Finding, after: Finding) -> float:
    """How much of two findings is the same, in [0, 1]: of masks and boxes the worse."""
    boxes = before.box.iou(after.box)
    if before.mask is None and after.mask is None:
        return boxes
    if before.mask is None or after.mask is None:
        return boxes / 2  # one has pixels and the other has none: the same lesion perhaps, but not untouched
    return min(boxes, before.mask.dice(after.mask))


def _dice(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> float | None:
    before = union(finding.mask for finding in prelabel if finding.mask is not None)
    after = union(finding.mask for finding in correction if finding.mask is not None)
    if before is None and after is None:
        return None
    return before.dice(after) if before is not None and after is not None else 0.0
