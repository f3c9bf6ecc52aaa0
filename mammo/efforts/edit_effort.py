"""Edit effort: what a person had to do to a prelabel, the number that the whole loop exists to lower."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mammo.findings import Finding
from mammo.geometry import Box
from mammo.masks import Mask, union

SAME = 0.99
"""From this overlap on a finding counts as untouched: percent coordinates and RLE round to whole pixels."""

Kind = Literal["accepted", "moved", "reshaped", "relabelled", "added", "deleted"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one finding."""

    kind: Kind
    finding: str
    """Its id in the prelabel; in the correction where the prelabel had none."""

    dice: float | None = None
    """Of the two masks, or IoU of the two boxes where one has no mask; None for added and deleted ones."""

    boundary_shift: float | None = None
    """Mean distance between the two outlines, both ways, in pixels; None where one has no mask."""

    image: str = ""
    """Which of the task's images it lies on; empty for the only one."""

    note: str = ""
    """Why, where it does not go without saying."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EditEffort:
    """Findings of one image, by what happened to them."""

    accepted: int
    """Left as they were."""

    edited: int
    """Kept, but moved, reshaped or relabelled."""

    added: int
    """Drawn by the person: the model had missed them."""

    deleted: int
    """Removed: false positives."""

    dice: float | None
    """Of all pixels of the prelabel against all pixels of the correction, in [0, 1]; None when neither has any."""

    crumbs: int = 0
    """Parts of masks that were left out of the correction as too small to be seen or meant."""

    @property
    def untouched(self) -> bool:
        """Nothing was changed; also where nothing was proposed and nothing drawn."""
        return not (self.edited or self.added or self.deleted)


def edit_effort(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> EditEffort:
    """Compare what was proposed with what the person left."""
    kinds = [change.kind for change in changes(prelabel, correction)]
    accepted, added, deleted = (kinds.count(kind) for kind in ("accepted", "added", "deleted"))
    return EditEffort(
        accepted=accepted,
        edited=len(kinds) - accepted - added - deleted,
        added=added,
        deleted=deleted,
        dice=_dice(prelabel, correction),
    )


def changes(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> list[Change]:
    """What became of each finding, those of the prelabel first, in their order.

    Findings belong together when they carry the same id, or else when they overlap most; each is used once. A point
    only belongs to a point: it says where a cluster is and outlines none, so it is no edit of an outlined one.
    """
    partner = dict(_pairs(prelabel, correction))
    told = [
        _change(before, correction[partner[row]])
        if row in partner
        else Change(kind="deleted", finding=before.id)
        for row, before in enumerate(prelabel)
    ]
    matched = set(partner.values())
    added = (after for column, after in enumerate(correction) if column not in matched)
    return [*told, *(Change(kind="added", finding=after.id) for after in added)]


def total_effort(efforts: Sequence[EditEffort]) -> EditEffort:
    """Counts summed over images; Dice as the mean over the images that have any pixels."""
    dice = [effort.dice for effort in efforts if effort.dice is not None]
    return EditEffort(
        accepted=sum(effort.accepted for effort in efforts),
        edited=sum(effort.edited for effort in efforts),
        added=sum(effort.added for effort in efforts),
        deleted=sum(effort.deleted for effort in efforts),
        dice=sum(dice) / len(dice) if dice else None,
        crumbs=sum(effort.crumbs for effort in efforts),
    )


def boundary_shift(before: Mask, after: Mask, *, pixel: tuple[float, float]) -> float:
    """Mean distance from each outline's pixels to the other outline, averaged over both ways.

    Args:
        pixel: height and width of one, in the unit of the answer; (1, 1) measures in pixels.
    """
    frame = before.frame.union(after.frame)
    outlines = [_outline(mask, frame) for mask in (before, after)]
    distances = [ndimage.distance_transform_edt(~outline, sampling=pixel) for outline in outlines]
    there, back = distances[1][outlines[0]].mean(), distances[0][outlines[1]].mean()
    return float((there + back) / 2)


def _pairs(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> Iterator[tuple[int, int]]:
    candidates = [
        (before.id == after.id != "", _overlap(before, after), row, column)
        for row, before in enumerate(prelabel)
        for column, after in enumerate(correction)
        if before.is_point == after.is_point
    ]
    rows: set[int] = set()
    columns: set[int] = set()
    for same_id, overlap, row, column in sorted(candidates, key=lambda c: (not c[0], -c[1], *c[2:])):
        if (same_id or overlap > 0) and row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            yield row, column


def _change(before: Finding, after: Finding) -> Change:
    kind = _kind(before, after)
    if before.mask is None or after.mask is None:
        return Change(kind=kind, finding=before.id, dice=round(before.box.iou(after.box), 4))
    return Change(
        kind=kind,
        finding=before.id,
        dice=round(before.mask.dice(after.mask), 4),
        boundary_shift=round(boundary_shift(before.mask, after.mask, pixel=(1.0, 1.0)), 2),
    )


def _kind(before: Finding, after: Finding) -> Kind:
    if before.label != after.label:
        return "relabelled"
    if _overlap(before, after) >= SAME:
        return "accepted"
    if before.mask is None and after.mask is None:
        same_size = (before.box.width, before.box.height) == (after.box.width, after.box.height)
        return "moved" if same_size else "reshaped"
    if before.mask is None or after.mask is None:
        return "reshaped"
    drawn, left = before.mask.tight(), after.mask.tight()
    same = drawn is not None and left is not None and np.array_equal(drawn.bitmap, left.bitmap)
    return "moved" if same else "reshaped"


def _overlap(before: Finding, after: Finding) -> float:
    """How much of two findings is the same, in [0, 1]: of masks and boxes the worse."""
    boxes = before.box.iou(after.box)
    if before.mask is None and after.mask is None:
        return boxes
    if before.mask is None or after.mask is None:
        return boxes / 2  # one has pixels and the other has none: the same lesion perhaps, but not untouched
    return min(boxes, before.mask.dice(after.mask))


def _outline(mask: Mask, frame: Box) -> npt.NDArray[np.bool_]:
    """Set pixels with an unset neighbour, in a frame that holds the mask and a border."""
    drawn = np.zeros((frame.height, frame.width), bool)
    rows, columns = mask.frame.shifted(-frame.x0, -frame.y0).slices
    drawn[rows, columns] = mask.bitmap
    outline: npt.NDArray[np.bool_] = drawn & ~ndimage.binary_erosion(drawn)
    return outline


def _dice(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> float | None:
    before = union(finding.mask for finding in prelabel if finding.mask is not None)
    after = union(finding.mask for finding in correction if finding.mask is not None)
    if before is None and after is None:
        return None
    return before.dice(after) if before is not None and after is not None else 0.0
