"""Dice of masks and of boxes, over lesions: a missed one counts 0."""

from __future__ import annotations

from collections.abc import Sequence

from mammo.findings import Finding
from mammo.geometry import Box


def lesion_dice(predicted: Sequence[Finding], truth: Sequence[Finding]) -> tuple[float, ...]:
    """Dice of each true lesion that has a mask, in [0, 1]; 0 for a lesion that no predicted mask meets.

    Predictions and lesions are paired one to one, the best overlapping pair first.
    """
    masks = [finding.mask for finding in predicted if finding.mask is not None]
    lesions = [finding.mask for finding in truth if finding.mask is not None]
    return _paired([[lesion.dice(mask) for mask in masks] for lesion in lesions])


def box_dice(predicted: Sequence[Box], truth: Sequence[Box]) -> tuple[float, ...]:
    """Dice of each true box, in [0, 1], paired as in `lesion_dice`; twice the common area over the sum of both."""
    return _paired([[_dice(lesion, box) for box in predicted] for lesion in truth])


def _dice(first: Box, second: Box) -> float:
    common = first.intersection(second)
    return 2 * common.area / (first.area + second.area) if common else 0.0


def _paired(overlaps: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Best overlaps of the rows, one to one, the best pair first; 0 for a row that is left over."""
    pairs = [(dice, row, column) for row, each in enumerate(overlaps) for column, dice in enumerate(each)]
    found: dict[int, float] = {}
    used: set[int] = set()
    for dice, row, column in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if dice > 0 and row not in found and column not in used:
            found[row] = dice
            used.add(column)
    return tuple(found.get(row, 0.0) for row in range(len(overlaps)))
