"""Answers: whether a reader, asked again, has corrected what was doubted."""

from __future__ import annotations

from collections.abc import Sequence

from mammo.efforts.edit_effort import MIN_OVERLAP
from mammo.findings import Finding
from mammo.geometry import ASSUMED_SPACING, Box
from mammo.readings.matching import match
from mammo.readings.rules import ReadingRules
from mammo.second_looks.doubt import Answer, LabelDoubt


def answer_to(doubt: LabelDoubt, before: Sequence[Finding], after: Sequence[Finding]) -> Answer:
    """Return whether the place of a doubt was changed; a change elsewhere on the image confirms the place.

    Args:
        before: findings of the doubted revision on the doubt's image.
        after: findings of the reader's answer.
    """
    if doubt.box is None:
        return "confirmed" if _are_same(before, after) else "changed"
    there_before, there_after = _at(doubt.box, before), _at(doubt.box, after)
    return "confirmed" if _are_same(there_before, there_after) else "changed"


def _at(box: Box, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that may be the lesion in a box."""
    rules = ReadingRules()
    place = Finding(label="", score=1.0, box=box, mask=None)
    return [
        each
        for each in findings
        if match(
            [place],
            [each],
            min_iou=rules.match_iou,
            match_centres=rules.match_centres,
            spacing=ASSUMED_SPACING,
        )
    ]


def _are_same(before: Sequence[Finding], after: Sequence[Finding]) -> bool:
    if len(before) != len(after):
        return False
    pairs = match(before, after, min_iou=MIN_OVERLAP, match_centres=True, spacing=ASSUMED_SPACING)
    return len(pairs) == len(before) and all(_overlap(before[a], after[b]) for a, b in pairs)


def _overlap(before: Finding, after: Finding) -> bool:
    if before.mask is None or after.mask is None:
        return (before.mask is after.mask) and before.box.iou(after.box) >= MIN_OVERLAP
    return before.mask.dice(after.mask) >= MIN_OVERLAP
