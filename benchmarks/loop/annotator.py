"""The annotator: corrects what is shown on an image against the truth, with errors at stated rates.

What one annotator notices of one image is drawn from the seed and the image, so it is the same in every arm: arms
differ by what is shown, not by luck.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.loop.gestures import (
    CORRECTED,
    CORRECTED_CM,
    DECISIONS,
    OUTLINE_CM,
    OUTLINES,
    Prices,
    Tally,
    prices,
)
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Point, Size, Spacing
from mammo.masks import Mask
from mammo.masks.extents import boundary
from mammo.masks.outlines import MIN_IOU, TARGET_VERTICES, mask_outline
from training.metrics import centre_rule, pair

Ask = Callable[[Point], Mask | None]
"""Asks the model for the lesion at a click."""

OFF_MM = 1.0
"""Distance from the true outline from which a vertex is moved."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How often an annotator errs. Stated, not measured: no person was observed."""

    missed: float
    """Share of the lesions that are not noticed on an image that shows no finding of the model."""

    missed_beside: float
    """The same of lesions without a finding on an image that shows findings or could have."""

    false_kept: float
    """Share of the model's false findings that stay."""

    true_deleted: float
    """Share of the model's true findings that are deleted."""

    accepted_dice: float
    """Least Dice with the truth of an outline that is left as it is."""

    sloppy_mm: float
    """Standard deviation of the size and of the place of an outline that the annotator draws, in mm."""


RATES: dict[Literal["careful", "credulous"], Rates] = {
    "careful": Rates(
        missed=0.08, missed_beside=0.08, false_kept=0.05, true_deleted=0.02, accepted_dice=0.8, sloppy_mm=0.3
    ),
    "credulous": Rates(
        missed=0.08, missed_beside=0.4, false_kept=0.7, true_deleted=0.0, accepted_dice=0.3, sloppy_mm=0.3
    ),
}
"""`credulous` accepts too easily: automation bias. Without the model both are alike."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What an annotator has made of an image."""

    kept: tuple[str, ...]
    """Ids of the shown findings that stay as they are."""

    drawn: tuple[Finding, ...]
    """Findings that were added or corrected; a corrected one has the id of the shown one."""

    tally: Tally


class Annotator:
    """Corrects one image."""

    def __init__(self, rates: Rates, *, seed: int, image: str, size: Size, spacing: Spacing) -> None:
        """
        Args:
            seed: of the simulated project.
            image: SHA-256 of the image.
            size, spacing: of the image.
        """
        self._rates = rates
        self._key = (seed, int(image[:8], 16))
        self._size, self._spacing = size, spacing
        self._prices: Prices = prices()
        self._tally: Tally = defaultdict(float, {DECISIONS: 1.0, "submit and see the next task": 1.0})

    def correct(
        self, shown: Sequence[Finding] | None, truth: Sequence[Finding], *, ask: Ask | None
    ) -> Correction:
        """Return the correction.

        Args:
            shown: findings of the prelabel; None: no prelabel is shown.
            truth: the true lesions, each with a mask.
            ask: the model's answer to a click; None: there is no model, and every outline is drawn.
        """
        kept: list[str] = []
        drawn: list[Finding] = []
        found: set[int] = set()
        pairs = pair(shown or (), [each.box for each in truth], uncertain=(), rule=centre_rule)
        lesion_of = {id(finding): lesion for finding, lesion in pairs}
        for finding in shown or ():
            self._tally[DECISIONS] += 1
            lesion = lesion_of.get(id(finding))
            luck = self._luck(finding.box.x0, finding.box.y0)
            if lesion is None:
                if luck < self._rates.false_kept:
                    kept.append(finding.id)
                else:
                    self._tally["delete"] += 1
                continue
            found.add(lesion)
            if luck < self._rates.true_deleted:
                self._tally["delete"] += 1
            elif self._is_good(finding.mask, truth[lesion]):
                kept.append(finding.id)
            else:
                drawn.append(self._corrected(finding.mask, truth[lesion], lesion, name=finding.id))
        missed = self._rates.missed if shown is None else self._rates.missed_beside
        for index, each in enumerate(truth):
            if index not in found and self._luck(index) >= missed:
                self._tally[DECISIONS] += 1
                drawn.append(self._added(each, index, ask))
        return Correction(kept=tuple(kept), drawn=tuple(drawn), tally=self._tally)

    def _luck(self, *place: int) -> float:
        """Return a number in [0, 1) that depends on the seed, the image and a place or a lesion on it only."""
        return float(np.random.default_rng([*self._key, *place]).random())

    def _is_good(self, mask: Mask | None, lesion: Finding) -> bool:
        assert lesion.mask is not None
        return mask is not None and mask.dice(lesion.mask) >= self._rates.accepted_dice

    def _added(self, lesion: Finding, index: int, ask: Ask | None) -> Finding:
        """Add a lesion that nothing was shown of: by a click where there is a model, else by its outline."""
        name = f"drawn-{index}"
        assert lesion.mask is not None
        if ask is None:
            return self._outlined(lesion, index, name=name)
        self._tally["add by click"] += 1
        answer = ask(middle(lesion.mask))
        if answer is not None and self._is_good(answer, lesion):
            return _finding(answer, name)
        return self._corrected(answer, lesion, index, name=name)

    def _corrected(self, mask: Mask | None, lesion: Finding, index: int, *, name: str) -> Finding:
        """Correct an outline: move its vertices or, if that takes less time, delete it and draw it anew."""
        assert lesion.mask is not None
        if mask is None:
            return self._outlined(lesion, index, name=name)
        off = self._off(mask, lesion.mask)
        price = self._prices.of
        moving = price("select") + off * price("move a vertex")
        vertices = len(self._vertices(lesion.mask))
        anew = price("delete") + price("take up the outline") + vertices * price("set a vertex")
        if anew < moving:
            self._tally["delete"] += 1
            return self._outlined(lesion, index, name=name)
        self._tally["select"] += 1
        self._tally["move a vertex"] += off
        self._tally[CORRECTED] += 1
        self._tally[CORRECTED_CM] += self._length_cm(lesion.mask) * off / len(self._vertices(mask))
        return self._sloppy(lesion, index, name=name)

    def _outlined(self, lesion: Finding, index: int, *, name: str) -> Finding:
        assert lesion.mask is not None
        self._tally["take up the outline"] += 1
        self._tally["set a vertex"] += len(self._vertices(lesion.mask))
        self._tally[OUTLINES] += 1
        self._tally[OUTLINE_CM] += self._length_cm(lesion.mask)
        return self._sloppy(lesion, index, name=name)

    def _off(self, mask: Mask, lesion: Mask) -> int:
        """Return how many vertices of an outline lie too far from the true one; at least one."""
        edge = boundary(lesion)
        vertices = self._vertices(mask)
        distances = np.hypot(*np.moveaxis(vertices[:, None] - edge[None], -1, 0)).min(axis=1)
        return max(1, int((distances * self._spacing.mean_mm > OFF_MM).sum()))

    def _length_cm(self, mask: Mask) -> float:
        vertices = self._vertices(mask)
        sides = np.roll(vertices, -1, axis=0) - vertices
        return float(np.hypot(*sides.T).sum()) * self._prices.cm_per_pixel

    def _vertices(self, mask: Mask) -> npt.NDArray[np.float64]:
        """Return the vertices of the outline as it is shown, N x 2."""
        return mask_outline(
            mask, size=self._size, min_part=1.0, min_iou=MIN_IOU, target_vertices=TARGET_VERTICES
        )

    def _sloppy(self, lesion: Finding, index: int, *, name: str) -> Finding:
        """Return a lesion as a hand outlines it: larger or smaller, and a little beside."""
        assert lesion.mask is not None
        rng = np.random.default_rng([*self._key, index, 7])
        grown, dx, dy = (
            round(each / self._spacing.mean_mm) for each in rng.normal(0, self._rates.sloppy_mm, 3)
        )
        mask = _grown(lesion.mask, grown)
        inside = Mask(mask.bitmap, mask.x0 + dx, mask.y0 + dy).within(self._size.box)
        return _finding(inside or lesion.mask, name)


def middle(mask: Mask) -> Point:
    """Return the pixel of a mask that is farthest from its outline: where a hand clicks."""
    depth = cv2.distanceTransform(np.pad(mask.bitmap, 1).astype(np.uint8), cv2.DIST_L2, 3)
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return Point(mask.x0 + int(column) - 1, mask.y0 + int(row) - 1)


def _grown(mask: Mask, pixels: int) -> Mask:
    """Return a mask dilated, or eroded for a negative number, as long as something is left."""
    margin = max(pixels, 0)
    bitmap = np.pad(mask.bitmap, margin).astype(np.uint8)
    side = 2 * abs(pixels) + 1
    disc = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
    changed = cv2.dilate(bitmap, disc) if pixels >= 0 else cv2.erode(bitmap, disc, borderValue=0)
    if not changed.any():
        return mask
    result = Mask(changed.astype(np.bool_), mask.x0 - margin, mask.y0 - margin).tight()
    assert result is not None
    return result


def _finding(mask: Mask, name: str) -> Finding:
    return Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=name)
