"""Refining: clicks in an outline and beside it change that outline, whoever drew it.

The answer starts from the pixels of the outline, so that it does not depend on how they came about. Each click changes
the answer to the one before; the backend remembers the last ones, because Label Studio repeats only clicks that wait
for ✓, and saves what was accepted some seconds later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from backend.click import Click, Step
from mammo.dicom import Mammogram
from mammo.errors import InvalidPrompt
from mammo.geometry import ASSUMED_SPACING, Point
from mammo.labelstudio.drawn_findings import DrawnFinding, DrawnFindings
from mammo.masks import Mask
from mammo.masks.corrections import grown, shrunk

if TYPE_CHECKING:
    from mammo.pipeline import Prelabeller  # imports torch

UNSAVED_SECONDS = 10.0
"""Time within which an outline that Label Studio has not saved may be on the screen; it saves after 5 seconds."""

SAME_DICE = 0.99
"""Dice from which a saved outline is the one that was answered."""

MAX_ANSWERS = 512
"""Answers that are remembered; each holds the pixels of a finding."""

SPECK_DISTANCE_MM = 1.0
"""Distance from a negative click from which a speck belongs to what stays."""

Place = tuple[int | None, str]
"""Task, and image key."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What was answered about one region."""

    mask: Mask
    steps: tuple[Step, ...]
    """All clicks that the mask agrees with."""

    saved: str | None
    """The region's value as Label Studio had saved it; None for a new suggestion."""

    region: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """The region that a click is about."""

    finding: DrawnFinding
    mask: Mask
    """Its pixels on the screen."""

    earlier: tuple[Step, ...]
    fresh: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Refined:
    """The pixels after the clicks, and what a reader has to know about them."""

    mask: Mask
    notes: tuple[str, ...]


class Refining:
    """Finds the regions that clicks are about, and remembers the answers. Safe to share between threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: LRUCache[tuple[Place, str], Answer] = LRUCache(MAX_ANSWERS)

    def target(
        self, click: Click, drawn: DrawnFindings, *, place: Place, mammogram: Mammogram
    ) -> Target | None:
        """Return the region that a click is about; None when it asks for a new one.

        A click that continues clicks which wait for ✓ is about their region. Any other is about the outline that holds
        its first point, else about the nearest one within `mammo.labelstudio.drawn_findings.NEAR_MM`.
        """
        if not click.steps:
            return None
        answers = self._of(place)
        for name, answer in answers.items():
            repeated = _overlap(answer.steps, click.steps)
            if repeated:
                finding = next((each for each in drawn.findings if each.id == name), None)
                if finding is None:
                    return None  # A new suggestion that waits for ✓.
                return Target(
                    finding=finding, mask=answer.mask, earlier=answer.steps, fresh=click.steps[repeated:]
                )
        masks: dict[str, Mask] = {}
        earlier: dict[str, tuple[Step, ...]] = {}
        current = []
        for finding in drawn.findings:
            if finding.id in answers and self._is_current(known := answers.pop(finding.id), finding):
                masks[finding.id], earlier[finding.id] = known.mask, known.steps
            current.append(replace(finding, mask=masks.get(finding.id, finding.mask)))
        for name, answer in answers.items():
            if answer.saved is None and self._is_recent(answer):
                earlier[name] = answer.steps
                current.append(DrawnFinding(region=answer.region, mask=answer.mask, attributes=()))
        spacing = mammogram.spacing or ASSUMED_SPACING
        found = DrawnFindings(findings=tuple(current)).at(click.steps[0].points[0], spacing)
        if found is None:
            return None
        original = next((each for each in drawn.findings if each.id == found.id), found)
        return Target(
            finding=original,
            mask=masks.get(found.id, original.mask),
            earlier=earlier.get(found.id, ()),
            fresh=click.steps,
        )

    def remember(
        self, region: Mapping[str, Any], mask: Mask, steps: tuple[Step, ...], *, place: Place, saved: bool
    ) -> None:
        """Record an answer.

        Args:
            region: as it was before; of a new suggestion, as it was answered.
            saved: whether Label Studio had saved it.
        """
        answer = Answer(
            mask=mask,
            steps=steps,
            saved=_value(region) if saved else None,
            region=region,
            at=self._clock(),
        )
        with self._lock:
            self._answers[place, str(region["id"])] = answer

    def _of(self, place: Place) -> dict[str, Answer]:
        """Return the answers about one image, newest first, by region."""
        if place[0] is None:
            return {}
        with self._lock:
            known = [(name, each) for (where, name), each in self._answers.items() if where == place]
        return dict(sorted(known, key=lambda each: -each[1].at))

    def _is_current(self, answer: Answer, finding: DrawnFinding) -> bool:
        """Whether a saved region is what was answered, or was answered and is not saved yet."""
        unsaved = answer.saved == _value(finding.region) and self._is_recent(answer)
        return unsaved or answer.mask.dice(finding.mask) >= SAME_DICE

    def _is_recent(self, answer: Answer) -> bool:
        return self._clock() - answer.at <= UNSAVED_SECONDS


def refine(target: Target, *, mammogram: Mammogram, prelabeller: Prelabeller) -> Refined:
    """Change the pixels of a region by its fresh clicks, one after the other."""
    mask, notes = target.mask, dict[str, None]()
    steps = [*target.earlier]
    for step in target.fresh:
        steps.append(step)
        before = mask
        mask, note = _stepped(mask, step, steps, mammogram=mammogram, prelabeller=prelabeller)
        if note:
            notes[note] = None
        elif mask.area == before.area and step.positive:
            notes["the model sees nothing more to add at the click"] = None
    return Refined(mask=mask, notes=tuple(notes))


def _stepped(
    mask: Mask, step: Step, steps: Sequence[Step], *, mammogram: Mammogram, prelabeller: Prelabeller
) -> tuple[Mask, str]:
    """Return the mask after one step, and a note if the step could not be followed."""
    spacing = mammogram.spacing or ASSUMED_SPACING
    positive = [point for each in steps if each.positive for point in each.points]
    negative = [point for each in steps if not each.positive for point in each.points]
    if not step.positive and not any(mask.holds(point) for point in step.points):
        return mask, "the click is outside the outline already: nothing is taken away"
    try:
        answer = prelabeller.reconsider(mammogram, mask, positive, negative).mask
    except InvalidPrompt:
        answer = None
    if step.positive:
        for point in step.points:
            mask = grown(mask, point, answer=answer, spacing=spacing)
        mask = _without_clicks(mask, steps[:-1], mammogram=mammogram)
        for point in step.points:  # The newest click has the last word.
            mask = mask if mask.holds(point) else grown(mask, point, answer=None, spacing=spacing)
        inside = mask.within(mammogram.size.box)
        assert inside is not None, "the mask was inside the image"
        return inside, ""
    specks = prelabeller.specks(mammogram, mask)
    kept = [point for point in specks if _apart(point, negative, mammogram)] + positive
    left: Mask | None = mask
    for point in step.points:
        left = left and shrunk(left, point, answer=answer, kept=kept, spacing=spacing)
    if left is None:
        return mask, "nothing would be left of the outline: select it and press Backspace to delete it"
    return left, ""


def _without_clicks(mask: Mask, steps: Sequence[Step], *, mammogram: Mammogram) -> Mask:
    """Remove the discs at earlier negative clicks, which growing may have covered."""
    spacing = mammogram.spacing or ASSUMED_SPACING
    for point in (each for step in steps if not step.positive for each in step.points):
        if mask.holds(point):
            mask = shrunk(mask, point, answer=None, kept=(), spacing=spacing) or mask
    return mask


def _apart(point: Point, negative: Sequence[Point], mammogram: Mammogram) -> bool:
    spacing = mammogram.spacing or ASSUMED_SPACING
    return all(
        ((point.x - each.x) * spacing.column_mm) ** 2 + ((point.y - each.y) * spacing.row_mm) ** 2
        > SPECK_DISTANCE_MM**2
        for each in negative
    )


def _overlap(earlier: Sequence[Step], steps: Sequence[Step]) -> int:
    """Return how many of the first steps are the last of the earlier ones."""
    longest = min(len(earlier), len(steps))
    return next((n for n in range(longest, 0, -1) if tuple(earlier[-n:]) == tuple(steps[:n])), 0)


def _value(region: Mapping[str, Any]) -> str:
    return repr(region.get("value"))
