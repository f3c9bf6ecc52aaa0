"""Agreement: two readings of one image, compared lesion by lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mammo.efforts.edit_effort import boundary_shift
from mammo.findings import Finding
from mammo.geometry import ASSUMED_SPACING, Box, Spacing
from mammo.masks import Mask
from mammo.readings.matching import match
from mammo.readings.rules import ReadingRules


@dataclass(frozen=True, kw_only=True)
class LesionAgreement:
    """One lesion that both readers saw."""

    first: int
    """Index of its finding in the first reading."""

    second: int

    dice: float | None
    """2 |A and B| / (|A| + |B|) of the masks; of the filled boxes where one reader drew no mask. None where a reader
    marked only the place: the readers agree on it, and there is nothing to measure."""

    boundary_px: float | None
    """Mean distance of the two outlines, both ways, in pixels; None as above."""

    boundary_mm: float | None
    """The same in mm; None also where the image states no spacing."""

    against: tuple[str, ...]
    """Why the readers do not agree on it: `dice`, `boundary`, `mask` (only one drew pixels); empty: they do."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two readings of one image."""

    lesions: tuple[LesionAgreement, ...]
    only_first: tuple[int, ...]
    """Indices of findings that only the first reader has."""

    only_second: tuple[int, ...]

    @property
    def agreed(self) -> bool:
        """Same lesions, each outlined alike; also when neither reader found any."""
        return not self.against

    @property
    def present(self) -> tuple[bool, bool]:
        """Whether each reader found anything."""
        return bool(self.lesions or self.only_first), bool(self.lesions or self.only_second)

    @property
    def against(self) -> tuple[str, ...]:
        """Why not: `presence` (a lesion that one reader has alone), `dice`, `boundary`, `mask`."""
        alone = {"presence"} if self.only_first or self.only_second else set()
        return tuple(sorted(alone.union(*(lesion.against for lesion in self.lesions))))

    @property
    def worst_dice(self) -> float:
        """Of all lesions of either reader, one seen by one reader alone counting 0; 1 without any to measure."""
        alone = [0.0] if self.only_first or self.only_second else []
        measured = [lesion.dice for lesion in self.lesions if lesion.dice is not None]
        return min(measured + alone, default=1.0)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Agreement:
        lesions = tuple(
            LesionAgreement(**{**each, "against": tuple(each["against"])}) for each in kept["lesions"]
        )
        return cls(
            lesions=lesions, only_first=tuple(kept["only_first"]), only_second=tuple(kept["only_second"])
        )


def compare(
    first: Sequence[Finding], second: Sequence[Finding], *, rules: ReadingRules, spacing: Spacing | None
) -> Agreement:
    """Match the lesions of two readings and measure each pair.

    Args:
        spacing: of the pixels; None where the image does not say, and 0.07 mm is assumed for the thresholds.
    """
    assumed = spacing or ASSUMED_SPACING
    pairs = match(first, second, least_iou=rules.match_iou, centres=rules.match_centres, spacing=assumed)
    seen_first, seen_second = {a for a, _ in pairs}, {b for _, b in pairs}
    return Agreement(
        lesions=tuple(_lesion(a, b, first[a], second[b], rules=rules, spacing=spacing) for a, b in pairs),
        only_first=tuple(index for index in range(len(first)) if index not in seen_first),
        only_second=tuple(index for index in range(len(second)) if index not in seen_second),
    )


def _lesion(
    a: int, b: int, first: Finding, second: Finding, *, rules: ReadingRules, spacing: Spacing | None
) -> LesionAgreement:
    if first.is_point or second.is_point:
        return LesionAgreement(first=a, second=b, dice=None, boundary_px=None, boundary_mm=None, against=())
    drawn = first.mask is not None, second.mask is not None
    one, other = (
        finding.mask if all(drawn) and finding.mask is not None else filled(finding.box)
        for finding in (first, second)
    )
    dice, shift = one.dice(other), boundary_shift(one, other, pixel=(1.0, 1.0))
    assumed = spacing or ASSUMED_SPACING
    shift_mm = boundary_shift(one, other, pixel=(assumed.row_mm, assumed.column_mm))
    against = {
        "dice": dice < rules.least_dice,
        "boundary": shift_mm > rules.most_boundary_mm,
        "mask": any(drawn) and not all(drawn),
    }
    return LesionAgreement(
        first=a,
        second=b,
        dice=round(dice, 4),
        boundary_px=round(shift, 2),
        boundary_mm=round(shift_mm, 3) if spacing else None,
        against=tuple(name for name, is_so in against.items() if is_so),
    )


def filled(box: Box) -> Mask:
    """All pixels of a box."""
    return Mask(np.ones((box.height, box.width), np.bool_), box.x0, box.y0)
