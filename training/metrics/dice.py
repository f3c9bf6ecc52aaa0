"""Dice of masks and of boxes (eq. 17), per true lesion; a missed lesion counts 0."""

from __future__ import annotations

from collections.abc import Sequence

from mammo.findings import Finding
from mammo.geometry import Box


def lesion_dice(predicted: Sequence[Finding], truth: Sequence[Finding]) -> tuple[float, ...]:
    """Dice of each true lesion that has a mask, in [0, 1]; 0 for a lesion that no predicted mask overlaps.

    Predictions and lesions are matched one to one, greedily, best Dice first.
    """
    masks = [finding.mask for finding in predicted if finding.mask is not None]
    lesions = [finding.mask for finding in truth if finding.mask is not None]
    return _best_matches([[lesion.dice(mask) for mask in masks] for lesion in lesions])


def box_dice(predicted: Sequence[Box], truth: Sequence[Box]) -> tuple[float, ...]:
    """Dice of each true box, in [0, 1], matched as in `lesion_dice`. Dice = 2 |A ∩ B| / (|A| + |B|)  (eq. 17)."""
    return _best_matches([[_dice(lesion, box) for box in predicted] for lesion in truth])


def _dice(first: Box, second: Box) -> float:
    common = first.intersection(second)
    return 2 * common.area / (first.area + second.area) if common else 0.0


def _best_matches(overlaps: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Match rows with columns greedily, best overlap first; the overlap of each row, 0 for an unmatched one."""
    pairs = [(dice, row, column) for row, each in enumerate(overlaps) for column, dice in enumerate(each)]
    matches: dict[int, float] = {}
    used: set[int] = set()
    for dice, row, column in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if dice > 0 and row not in matches and column not in used:
            matches[row] = dice
            used.add(column)
    return tuple(matches.get(row, 0.0) for row in range(len(overlaps)))
