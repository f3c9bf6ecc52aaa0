"""DifferingPlace: where two model versions found different things on the same image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mammo.annotations import AnnotationStore, Prelabel
from mammo.efforts.edit_effort import MIN_OVERLAP, matches, overlap
from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.geometry import Box
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.masks import PixelBudget

Kind = Literal["first_only", "second_only", "reshaped"]

MAX_PER_TASK = 4
"""Places of one task that are returned, so that one image with many does not hide the others."""


@dataclass(frozen=True, kw_only=True)
class DifferingPlace:
    """A finding that only one version has, or that both have with other outlines."""

    task: int
    tags: ControlTags
    """Of the image within the task."""

    image_sha256: str
    """Of the prelabels' images; see `Prelabel.image_sha256`. Empty: the versions have seen different ones."""

    first: Finding | None
    second: Finding | None

    @property
    def kind(self) -> Kind:
        """Which version has it."""
        if self.first is None:
            return "second_only"
        return "first_only" if self.second is None else "reshaped"

    @property
    def overlap(self) -> float:
        """Overlap of both findings, in [0, 1]; 0 if only one version has it."""
        return overlap(self.first, self.second) if self.first and self.second else 0.0

    @property
    def box(self) -> Box:
        """The box around both findings, in pixels."""
        first, second = self.first or self.second, self.second or self.first
        assert first is not None
        assert second is not None
        return first.box.union(second.box)


def differing_places(
    project: int,
    versions: tuple[str, str],
    tasks: Sequence[int],
    *,
    store: AnnotationStore,
    tags: ControlTags,
    limit: int,
) -> list[DifferingPlace]:
    """Return the places where two versions differ on some tasks: in the order of the tasks, most different first.

    Prelabels that cannot be interpreted have no places; the comparison of the versions names them.

    Args:
        tasks: usually `ShadowComparison.differing`.
        limit: largest number of places; of one task, at most `MAX_PER_TASK`.
    """
    first, second = ({each.task: each for each in store.prelabels(project, version)} for version in versions)
    places: list[DifferingPlace] = []
    for task in tasks:
        if len(places) >= limit:
            break
        if task in first and task in second:
            found = sorted(_of_task(first[task], second[task], tags), key=_order)
            places += found[: min(MAX_PER_TASK, limit - len(places))]
    return places


def _of_task(first: Prelabel, second: Prelabel, tags: ControlTags) -> Iterator[DifferingPlace]:
    budget = PixelBudget()
    seen = first.image_sha256 if first.image_sha256 == second.image_sha256 else ""
    for each in tags.everywhere([*first.regions, *second.regions]):
        try:
            before, after = (
                from_regions(side.regions, tags=each, size=None, budget=budget) for side in (first, second)
            )
        except InvalidRegion:
            return
        pairs = dict(matches(before, after))
        others = set(range(len(after))) - set(pairs.values())
        sides = [(one, after[pairs[n]] if n in pairs else None) for n, one in enumerate(before)]
        for one, other in [*sides, *((None, after[n]) for n in sorted(others))]:
            place = DifferingPlace(task=first.task, tags=each, image_sha256=seen, first=one, second=other)
            if place.overlap < MIN_OVERLAP:
                yield place


def _order(place: DifferingPlace) -> tuple[float, float]:
    """What only one version has comes first, highest score first; then other outlines, least overlap first."""
    only = place.first if place.second is None else place.second if place.first is None else None
    return (0.0, -only.score) if only is not None else (1.0, place.overlap)
