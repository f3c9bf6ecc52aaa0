"""Two model versions on the same tasks of a project: how far they agree, and how far each is from the corrections.

One of them is usually the champion, the other a shadow whose predictions nobody saw. A correction that somebody made
on a prelabel leans towards it, so what counts most are images that were read without one: those are the arm `control`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mammo.annotations import AnnotationStore, Correction, Prelabel
from mammo.efforts.edit_effort import EditEffort, edit_effort, total_effort
from mammo.efforts.effort_records import Arm, made_on
from mammo.errors import InvalidRegion, ModelNotFound
from mammo.findings import Finding
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import ModelRegistry

CHUNK = 200
"""Corrections that are opened together."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What two versions said of the same images."""

    tasks: int
    """Images of which both said something."""

    both: int
    """Findings that they share: those that overlap."""

    first_only: int
    second_only: int
    dice: float | None
    """Of all pixels of an image, mean over the images with any; None where there are none."""


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far one version was from the corrections of one arm."""

    version: str
    arm: Arm
    """`prelabelled`: somebody was shown a prelabel, of whichever version; `control`: nobody was."""

    images: int
    accept_rate: float | None
    """Of the findings proposed, the part that was left, or drawn, just so; None where nothing was proposed."""

    dice: float | None
    missed_per_image: float
    false_per_image: float


@dataclass(frozen=True, kw_only=True)
class ShadowComparison:
    """The figures of both versions on the same images."""

    project: int
    versions: tuple[str, str]
    agreement: Agreement
    distances: tuple[Distance, ...]
    """By arm, first version first; an arm without corrections is left out."""

    unreadable: tuple[str, ...]
    """What is in none of these numbers because it cannot be read: which prelabel or annotation, and why."""

    dice_gain: float | None
    """Second version's Dice minus the first's in the control arm, mean over its images; None without any."""

    dice_gain_interval: tuple[float, float] | None
    """5th and 95th percentile of that mean over bootstrap draws of images; None below two images."""

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def compare_versions(
    project: int,
    versions: tuple[str, str],
    *,
    store: AnnotationStore,
    tags: ControlTags,
    draws: int = 1000,
) -> ShadowComparison:
    """Compare what two versions said of a project's tasks.

    A correction counts where both had spoken before it was begun: a version that came later may have learned from it.

    Raises:
        ModelNotFound: they are the same version.
    """
    first, second = versions
    if first == second:
        raise ModelNotFound(f"both are {first}: there is nothing to compare; name two versions")
    ours, theirs = (
        {each.task: each for each in store.prelabels(project, version)} for version in (first, second)
    )
    shared = sorted(ours.keys() & theirs.keys())
    read = _Reader(tags)
    pairs = [
        (one, other)
        for task in shared
        if (one := read.prelabel(ours[task])) is not None
        and (other := read.prelabel(theirs[task])) is not None
    ]
    compared = [each for one, other in pairs for each in _image_by_image(one, other)]
    together = total_effort([edit_effort(one, other) for one, other in compared])
    efforts = list(_efforts(project, (ours, theirs), store=store, read=read))
    gains = [
        (other.dice or 0.0) - (one.dice or 0.0)
        for arm, one, other in efforts
        if arm == "control" and (one.dice is not None or other.dice is not None)
    ]
    return ShadowComparison(
        project=project,
        versions=(first, second),
        agreement=Agreement(
            tasks=len(pairs),
            both=together.accepted + together.edited,
            first_only=together.deleted,
            second_only=together.added,
            dice=together.dice,
        ),
        distances=tuple(_distances(versions, efforts)),
        unreadable=tuple(read.problems.values()),
        dice_gain=float(np.mean(gains)) if gains else None,
        dice_gain_interval=_interval(gains, draws),
    )


def named_versions(names: Sequence[str], registry: ModelRegistry) -> tuple[str, str]:
    """Two versions by their names or aliases.

    Raises:
        ModelNotFound: one is not there.
    """
    found = [(name, registry.find(name)) for name in names]
    missing = [name for name, version in found if version is None]
    if missing:
        raise ModelNotFound(f"the registry holds no {' and no '.join(missing)}; see `yolo-mlsam models list`")
    first, second = (str(version) for _, version in found)
    return first, second


def _efforts(
    project: int,
    sides: tuple[dict[int, Prelabel], dict[int, Prelabel]],
    *,
    store: AnnotationStore,
    read: _Reader,
) -> Iterator[tuple[Arm, EditEffort, EditEffort]]:
    """Both versions against each correction that both preceded."""
    ours, theirs = sides
    preceded = [
        (outline, was_shown, one, other)
        for outline, _, was_shown in made_on(project, store)
        if (one := ours.get(outline.task_id)) is not None
        and (other := theirs.get(outline.task_id)) is not None
        and max(one.created_at, other.created_at) < outline.begun
    ]
    for start in range(0, len(preceded), CHUNK):
        part = preceded[start : start + CHUNK]
        contents = store.contents([outline.revision for outline, *_ in part])
        for outline, was_shown, one, other in part:
            drawn = read.correction(contents[outline.revision])
            first, second = read.prelabel(one), read.prelabel(other)
            if drawn is None or first is None or second is None:
                continue
            arm: Arm = "prelabelled" if was_shown else "control"
            for mine, others, left in _image_by_image(first, second, drawn):
                yield arm, edit_effort(mine, left), edit_effort(others, left)


OnImages = dict[str, list[Finding]]
"""Findings by the key of the image that they lie on."""


def _image_by_image(*sides: OnImages) -> list[tuple[list[Finding], ...]]:
    """What each side has on one image after another."""
    images = sorted({image for side in sides for image in side})
    return [tuple(side.get(image, []) for side in sides) for image in images]


def _distances(
    versions: Sequence[str], efforts: Sequence[tuple[Arm, EditEffort, EditEffort]]
) -> Iterator[Distance]:
    arms: tuple[Arm, ...] = ("control", "prelabelled")
    for arm in arms:
        mine = [(one, other) for each, one, other in efforts if each == arm]
        for version, side in zip(versions, zip(*mine, strict=True), strict=False):
            total = total_effort(side)
            proposed = total.accepted + total.edited + total.deleted
            yield Distance(
                version=version,
                arm=arm,
                images=len(side),
                accept_rate=total.accepted / proposed if proposed else None,
                dice=total.dice,
                missed_per_image=total.added / len(side),
                false_per_image=total.deleted / len(side),
            )


def _interval(gains: Sequence[float], draws: int) -> tuple[float, float] | None:
    if len(gains) < 2:
        return None
    drawn = np.random.default_rng(0).choice(np.asarray(gains), size=(draws, len(gains)))
    low, high = np.percentile(drawn.mean(axis=1), (5, 95))
    return float(low), float(high)


@dataclass
class _Reader:
    """Reads regions with a project's labels, and keeps why some cannot be read."""

    tags: ControlTags
    problems: dict[tuple[str, int, str], str] = field(default_factory=dict)

    def prelabel(self, prelabel: Prelabel) -> OnImages | None:
        named = f"prelabel of {prelabel.model_version}, task {prelabel.task}"
        return self._read(("prelabel", prelabel.task, prelabel.model_version), named, prelabel.regions)

    def correction(self, correction: Correction) -> OnImages | None:
        named = f"annotation {correction.annotation_id}, task {correction.task_id}"
        return self._read(("annotation", correction.annotation_id, ""), named, correction.result)

    def _read(
        self, key: tuple[str, int, str], named: str, regions: Sequence[Mapping[str, Any]]
    ) -> OnImages | None:
        try:
            return {
                each.image_key: from_regions(regions, tags=each) for each in self.tags.everywhere(regions)
            }
        except InvalidRegion as error:
            self.problems[key] = f"{named}: {error}"
            return None
