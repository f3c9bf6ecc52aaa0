"""Edit effort: how much a person changed a prelabel. Lowering it is the purpose of the whole loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mammo.findings import Finding
from mammo.masks import Mask, union
from mammo.masks.extents import boundary

MIN_OVERLAP = 0.99
"""Overlap from which a finding counts as unchanged: percent coordinates and RLE round to whole pixels."""

ChangeKind = Literal["accepted", "moved", "reshaped", "relabelled", "added", "deleted"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """The change of one finding between prelabel and correction."""

    kind: ChangeKind
    finding: str
    """Id of the finding in the prelabel; of an added finding, its id in the correction."""

    dice: float | None = None
    """Dice of the two masks, or IoU of the two boxes where one has no mask; None for added and deleted findings."""

    boundary_shift: float | None = None
    """Symmetric mean distance of the two outlines in pixels; None where one has no mask."""

    image: str = ""
    """Key of the image within the task; empty for a single image."""

    note: str = ""
    """Explanation, where the kind alone does not say why."""


class WordCounts(NamedTuple):
    """What became of the words about findings and exam, such as a morphology."""

    given: int = 0
    """Said by the person alone."""

    changed: int = 0
    """Proposed, and replaced by the person."""

    removed: int = 0
    """Proposed, and taken away by the person, who says none."""

    accepted: int = 0
    """Proposed, and kept."""

    @property
    def said(self) -> int:
        """Words of the annotation, whoever said them first."""
        return self.given + self.changed + self.accepted


@dataclass(frozen=True, kw_only=True, slots=True)
class EditEffort:
    """Number of findings of one image by their change."""

    accepted: int
    """Unchanged."""

    edited: int
    """Moved, reshaped or relabelled."""

    added: int
    """Drawn by the person: missed by the model."""

    deleted: int
    """Removed: false positives."""

    dice: float | None
    """Dice of the union of all masks of prelabel and correction, in [0, 1]; None if neither has a mask."""

    crumbs: int = 0
    """Parts of masks that were ignored in the correction because they are too small to be visible or intended."""

    words: tuple[tuple[str, WordCounts], ...] = ()
    """Descriptor and what became of its words, sorted; without those of which no word was said."""

    @property
    def untouched(self) -> bool:
        """Whether nothing was changed; also true if prelabel and correction are both empty."""
        return not (self.edited or self.added or self.deleted)

    @property
    def accept_rate(self) -> float | None:
        """Share of the prelabel's findings that were accepted unchanged; None if there were none."""
        num_findings = self.accepted + self.edited + self.deleted
        return self.accepted / num_findings if num_findings else None


def edit_effort(
    prelabel: Sequence[Finding],
    correction: Sequence[Finding],
    *,
    exams: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> EditEffort:
    """Count the changes between a prelabel and its correction.

    Args:
        exams: what the prelabel and the correction say about the exam, by descriptor.
    """
    kinds = [change.kind for change in changes(prelabel, correction)]
    accepted, added, deleted = (kinds.count(kind) for kind in ("accepted", "added", "deleted"))
    return EditEffort(
        accepted=accepted,
        edited=len(kinds) - accepted - added - deleted,
        added=added,
        deleted=deleted,
        dice=_dice(prelabel, correction),
        words=_words(prelabel, correction, exams),
    )


def total_words(counts: Iterable[tuple[tuple[str, WordCounts], ...]]) -> tuple[tuple[str, WordCounts], ...]:
    """Add up what became of words, descriptor by descriptor."""
    totals: dict[str, WordCounts] = {}
    for name, each in (pair for pairs in counts for pair in pairs):
        totals[name] = WordCounts(*map(sum, zip(totals.get(name, WordCounts()), each, strict=True)))
    return tuple(sorted(totals.items()))


def changes(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> list[Change]:
    """Return the change of each finding: those of the prelabel in their order, then the added ones.

    Findings are matched one-to-one, by equal ids first, then by largest overlap. A point matches only a point: it gives
    a location but no outline, so it is no edit of an outlined finding.
    """
    pairs = dict(matches(prelabel, correction))
    from_prelabel = [
        _change(before, correction[pairs[index]])
        if index in pairs
        else Change(kind="deleted", finding=before.id)
        for index, before in enumerate(prelabel)
    ]
    matched = set(pairs.values())
    added = (after for index, after in enumerate(correction) if index not in matched)
    return [*from_prelabel, *(Change(kind="added", finding=after.id) for after in added)]


def total_effort(efforts: Sequence[EditEffort]) -> EditEffort:
    """Sum the counts over images, and average Dice over the images that have masks."""
    dice = [effort.dice for effort in efforts if effort.dice is not None]
    return EditEffort(
        accepted=sum(effort.accepted for effort in efforts),
        edited=sum(effort.edited for effort in efforts),
        added=sum(effort.added for effort in efforts),
        deleted=sum(effort.deleted for effort in efforts),
        dice=sum(dice) / len(dice) if dice else None,
        crumbs=sum(effort.crumbs for effort in efforts),
        words=total_words(effort.words for effort in efforts),
    )


def boundary_shift(before: Mask, after: Mask, *, pixel: tuple[float, float]) -> float:
    """Return the symmetric mean distance of two outlines.

    It is the mean distance from the pixels of each outline to the other outline, averaged over both directions.

    Args:
        pixel: Height and width of a pixel, in the unit of the result; (1, 1) measures in pixels.
    """
    row, column = pixel
    outlines = [boundary(mask) * np.array([column, row]) for mask in (before, after)]
    first, second = outlines
    return (_mean_distance(first, second) + _mean_distance(second, first)) / 2


def _mean_distance(points: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> float:
    """Return the mean distance of N x 2 points from the nearest of M x 2 others."""
    # Here, because the backend, which imports this module, starts without scipy.
    from scipy.spatial import KDTree

    distances, _ = KDTree(others).query(points)
    return float(np.mean(distances))


def matches(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> Iterator[tuple[int, int]]:
    """Yield the indices of matching findings: equal ids first, then by decreasing overlap."""
    candidates = [
        (before.id == after.id != "", overlap(before, after), row, column)
        for row, before in enumerate(prelabel)
        for column, after in enumerate(correction)
        if before.is_point == after.is_point
    ]
    rows: set[int] = set()
    columns: set[int] = set()
    for same_id, shared, row, column in sorted(candidates, key=lambda c: (not c[0], -c[1], *c[2:])):
        if (same_id or shared > 0) and row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            yield row, column


def _words(
    prelabel: Sequence[Finding],
    correction: Sequence[Finding],
    exams: tuple[Mapping[str, str], Mapping[str, str]],
) -> tuple[tuple[str, WordCounts], ...]:
    """Compare the words about each finding and about the exam. Words about a deleted finding went with it."""
    before_of = {column: row for row, column in matches(prelabel, correction)}
    pairs = [
        (prelabel[before_of[index]].descriptors if index in before_of else {}, finding.descriptors)
        for index, finding in enumerate(correction)
    ]
    return total_words(
        (
            (
                name,
                WordCounts(
                    given=name not in before,
                    changed=name in before and after.get(name, before[name]) != before[name],
                    removed=name not in after,
                    accepted=name in before and after.get(name) == before[name],
                ),
            ),
        )
        for before, after in (*pairs, exams)
        for name in (*before, *(each for each in after if each not in before))
    )


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


def _kind(before: Finding, after: Finding) -> ChangeKind:
    if before.label != after.label:
        return "relabelled"
    if overlap(before, after) >= MIN_OVERLAP:
        return "accepted"
    if before.mask is None and after.mask is None:
        same_size = (before.box.width, before.box.height) == (after.box.width, after.box.height)
        return "moved" if same_size else "reshaped"
    if before.mask is None or after.mask is None:
        return "reshaped"
    mask, corrected = before.mask.tight(), after.mask.tight()
    same_shape = mask is not None and corrected is not None and np.array_equal(mask.bitmap, corrected.bitmap)
    return "moved" if same_shape else "reshaped"


def overlap(before: Finding, after: Finding) -> float:
    """Return the overlap of two findings, in [0, 1]: the smaller of box IoU and mask Dice."""
    box_iou = before.box.iou(after.box)
    if before.mask is None and after.mask is None:
        return box_iou
    if before.mask is None or after.mask is None:
        return box_iou / 2  # only one has a mask: possibly the same lesion, but not unchanged
    return min(box_iou, before.mask.dice(after.mask))


def _dice(prelabel: Sequence[Finding], correction: Sequence[Finding]) -> float | None:
    before = union(finding.mask for finding in prelabel if finding.mask is not None)
    after = union(finding.mask for finding in correction if finding.mask is not None)
    if before is None and after is None:
        return None
    return before.dice(after) if before is not None and after is not None else 0.0
