"""Agreement of two readings of an image or an exam, lesion by lesion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mammo.efforts.edit_effort import boundary_shift
from mammo.findings import Finding
from mammo.geometry import ASSUMED_SPACING, Box, Spacing
from mammo.masks import Mask
from mammo.readings.matching import match
from mammo.readings.rules import ReadingRules

Words = Mapping[str, tuple[str | None, str | None]]
"""Name of a descriptor -> the words of the first and the second reader; None for a reader who says nothing. Without an
entry, neither does."""


@dataclass(frozen=True, kw_only=True)
class LesionAgreement:
    """One lesion that both readers found."""

    first: int
    """Index of the finding in the first reading."""

    second: int
    """Index of the finding in the second reading."""

    dice: float | None
    """2 |A and B| / (|A| + |B|) of the two masks, or of the two filled boxes where a reader drew no mask. None where a
    reader marked only a point: the readers agree on the location, and there is no outline to measure."""

    boundary_px: float | None
    """Symmetric mean distance of the two outlines in pixels; None where `dice` is None."""

    boundary_mm: float | None
    """The same distance in mm; None also where the image states no pixel spacing."""

    disagreements: tuple[str, ...]
    """Failed criteria: `dice`, `boundary`, `mask` (only one reader drew a mask). Empty: the readers agree."""

    words: Words = field(default_factory=dict)
    """What the readers say about the finding. Different words are no disagreement about the lesion."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Comparison of two readings of one image, or of all images of a task (`joined`)."""

    lesions: tuple[LesionAgreement, ...]
    only_first: tuple[int, ...]
    """Indices of the findings that only the first reader has."""

    only_second: tuple[int, ...]
    """Indices of the findings that only the second reader has."""

    words: Words = field(default_factory=dict)
    """What the readers say about the exam."""

    @property
    def agreed(self) -> bool:
        """Whether both readers found the same lesions with matching outlines, or neither found any."""
        return not self.disagreements

    @property
    def present(self) -> tuple[bool, bool]:
        """Whether the first and the second reader found any lesion."""
        return bool(self.lesions or self.only_first), bool(self.lesions or self.only_second)

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Failed criteria, sorted: `presence` (only one reader found a lesion), `dice`, `boundary`, `mask`."""
        presence = {"presence"} if self.only_first or self.only_second else set()
        return tuple(sorted(presence.union(*(lesion.disagreements for lesion in self.lesions))))

    @property
    def worst_dice(self) -> float:
        """Lowest Dice of all lesions, in [0, 1]; an unmatched lesion counts 0; 1 where there is no Dice to compare."""
        unmatched = [0.0] if self.only_first or self.only_second else []
        measured = [lesion.dice for lesion in self.lesions if lesion.dice is not None]
        return min(measured + unmatched, default=1.0)

    def part(self, first: range, second: range) -> Agreement:
        """Return the agreement on one image of several; the inverse of `joined`.

        Args:
            first, second: numbers of the findings on the image, in either reading.
        """
        return Agreement(
            lesions=tuple(
                replace(each, first=each.first - first.start, second=each.second - second.start)
                for each in self.lesions
                if each.first in first
            ),
            only_first=tuple(each - first.start for each in self.only_first if each in first),
            only_second=tuple(each - second.start for each in self.only_second if each in second),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the database stores."""
        return {
            "lesions": [
                {
                    "first": lesion.first,
                    "second": lesion.second,
                    "dice": lesion.dice,
                    "boundary_px": lesion.boundary_px,
                    "boundary_mm": lesion.boundary_mm,
                    "against": lesion.disagreements,
                    "words": lesion.words,
                }
                for lesion in self.lesions
            ],
            "only_first": self.only_first,
            "only_second": self.only_second,
            "words": self.words,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Agreement:
        """Restore an agreement from `to_json`."""
        return cls(
            lesions=tuple(
                LesionAgreement(
                    first=lesion["first"],
                    second=lesion["second"],
                    dice=lesion["dice"],
                    boundary_px=lesion["boundary_px"],
                    boundary_mm=lesion["boundary_mm"],
                    disagreements=tuple(lesion["against"]),
                    words=_words_from_json(lesion["words"]),
                )
                for lesion in stored["lesions"]
            ),
            only_first=tuple(stored["only_first"]),
            only_second=tuple(stored["only_second"]),
            words=_words_from_json(stored["words"]),
        )


def compare(
    first: Sequence[Finding],
    second: Sequence[Finding],
    *,
    rules: ReadingRules,
    spacing: Spacing | None,
    exams: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> Agreement:
    """Match the lesions of two readings and measure each matched pair.

    Args:
        exams: What each reader says about the exam, by descriptor.
        spacing: Pixel spacing; None where the image states none. The thresholds then assume 0.07 mm.
    """
    pairs = match(
        first,
        second,
        min_iou=rules.match_iou,
        match_centres=rules.match_centres,
        spacing=spacing or ASSUMED_SPACING,
    )
    matched_first, matched_second = {a for a, _ in pairs}, {b for _, b in pairs}
    return Agreement(
        lesions=tuple(
            _compare_lesion(a, b, first[a], second[b], rules=rules, spacing=spacing) for a, b in pairs
        ),
        only_first=tuple(index for index in range(len(first)) if index not in matched_first),
        only_second=tuple(index for index in range(len(second)) if index not in matched_second),
        words=both_words(*exams),
    )


def joined(parts: Iterable[tuple[Agreement, int, int]], *, words: Words) -> Agreement:
    """Return the agreement on several images, whose findings are numbered through.

    Args:
        parts: of each image, the agreement and the number of findings of either reading.
        words: what the readers say about the exam.
    """
    lesions: list[LesionAgreement] = []
    only_first: list[int] = []
    only_second: list[int] = []
    start_first = start_second = 0
    for part, num_first, num_second in parts:
        lesions += [
            replace(each, first=each.first + start_first, second=each.second + start_second)
            for each in part.lesions
        ]
        only_first += [each + start_first for each in part.only_first]
        only_second += [each + start_second for each in part.only_second]
        start_first, start_second = start_first + num_first, start_second + num_second
    return Agreement(
        lesions=tuple(lesions), only_first=tuple(only_first), only_second=tuple(only_second), words=words
    )


def _compare_lesion(
    a: int, b: int, first: Finding, second: Finding, *, rules: ReadingRules, spacing: Spacing | None
) -> LesionAgreement:
    words = both_words(first.descriptors, second.descriptors)
    if first.is_point or second.is_point:
        return LesionAgreement(
            first=a, second=b, dice=None, boundary_px=None, boundary_mm=None, disagreements=(), words=words
        )
    has_mask = first.mask is not None, second.mask is not None
    first_mask, second_mask = (
        finding.mask if all(has_mask) and finding.mask is not None else filled(finding.box)
        for finding in (first, second)
    )
    assumed = spacing or ASSUMED_SPACING
    dice = first_mask.dice(second_mask)
    shift_px = boundary_shift(first_mask, second_mask, pixel=(1.0, 1.0))
    shift_mm = boundary_shift(first_mask, second_mask, pixel=(assumed.row_mm, assumed.column_mm))
    failed = {
        "dice": dice < rules.least_dice,
        "boundary": shift_mm > rules.most_boundary_mm,
        "mask": any(has_mask) and not all(has_mask),
    }
    return LesionAgreement(
        first=a,
        second=b,
        dice=round(dice, 4),
        boundary_px=round(shift_px, 2),
        boundary_mm=round(shift_mm, 3) if spacing else None,
        disagreements=tuple(criterion for criterion, has_failed in failed.items() if has_failed),
        words=words,
    )


def both_words(first: Mapping[str, str], second: Mapping[str, str]) -> Words:
    """Return the words of two readers, by descriptor."""
    return {name: (first.get(name), second.get(name)) for name in sorted({*first, *second})}


def _words_from_json(stored: Mapping[str, Sequence[str | None]]) -> Words:
    return {name: (first, second) for name, (first, second) in stored.items()}


def filled(box: Box) -> Mask:
    """Return a mask with every pixel of the box set."""
    return Mask(np.ones((box.height, box.width), np.bool_), box.x0, box.y0)
