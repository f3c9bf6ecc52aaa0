"""Compare two model versions on the same tasks: their agreement, and the distance of each to the corrections.

Usually one is the champion and the other a shadow model whose predictions nobody saw. A correction that started from a
prelabel leans towards it, so images that were read without one, the arm `control`, count most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mammo.annotations import AnnotationStore, Correction, Prelabel
from mammo.efforts.edit_effort import EditEffort, edit_effort, total_effort
from mammo.efforts.effort_records import Arm, compared_corrections
from mammo.errors import InvalidRegion, ModelNotFound
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.masks import PixelBudget
from mammo.models import ModelRegistry

MAX_DIFFERING = 50

CHUNK = 200
"""Corrections whose content is read by one statement."""


@dataclass(frozen=True, kw_only=True)
class VersionAgreement:
    """Agreement of two model versions on the same tasks."""

    tasks: int
    """Tasks for which both have a prelabel."""

    both: int
    """Findings that both have, matched by overlap."""

    first_only: int
    """Findings that only the first version has."""

    second_only: int
    """Findings that only the second version has."""

    dice: float | None
    """Mean Dice of the masks per image; None if no image has masks."""


@dataclass(frozen=True, kw_only=True)
class CorrectionDistance:
    """Distance of one model version to the corrections of one arm."""

    version: str
    arm: Arm
    """`prelabelled`: the annotator was shown a prelabel of any version; `control`: of none."""

    images: int
    accept_rate: float | None
    """Share of the version's findings that the correction contains unchanged; None if it has none."""

    dice: float | None
    """Mean Dice of version and correction over the images with masks; None if there are none."""

    missed_per_image: float
    """Findings of the correction that the version does not have."""

    false_per_image: float
    """Findings of the version that the correction does not have."""


@dataclass(frozen=True, kw_only=True)
class DifferingTask:
    """A task on which two versions disagree."""

    task: int
    first_only: int
    """Findings that only the first version has."""

    second_only: int
    reshaped: int
    """Findings that both have, with other outlines."""

    dice: float | None


@dataclass(frozen=True, kw_only=True)
class ShadowComparison:
    """Figures of two model versions on the same images."""

    project: int
    versions: tuple[str, str]
    agreement: VersionAgreement
    distances: tuple[CorrectionDistance, ...]
    """By arm, the first version first; an arm without corrections is left out."""

    differing: tuple[DifferingTask, ...]
    """Those that differ most, first; at most `MAX_DIFFERING`."""

    unreadable: tuple[str, ...]
    """Prelabels and annotations left out of these figures because they cannot be interpreted, with the reason."""

    dice_gain: float | None
    """Mean of the second version's Dice minus the first's over the images of the control arm; None without images."""

    dice_gain_interval: tuple[float, float] | None
    """5th and 95th percentile of `dice_gain` over bootstrap samples of images; None for fewer than two images."""

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return asdict(self)


def compare_versions(
    project: int,
    versions: tuple[str, str],
    *,
    store: AnnotationStore,
    tags: ControlTags,
    num_draws: int = 1000,
) -> ShadowComparison:
    """Compare two model versions on a project's tasks.

    A correction counts only if both prelabels precede its first revision: a later model may have been trained on it.

    Args:
        num_draws: Bootstrap samples for `dice_gain_interval`.

    Raises:
        ModelNotFound: Both names are of the same version.
    """
    first, second = versions
    if first == second:
        raise ModelNotFound(f"both names are of model version {first}; name two different versions")
    first_prelabels, second_prelabels = (
        {each.task: each for each in store.prelabels(project, version)} for version in (first, second)
    )
    shared = sorted(first_prelabels.keys() & second_prelabels.keys())
    parser = _RegionParser(tags)
    pairs = {
        task: [edit_effort(*sides) for sides in _image_by_image(one, other)]
        for task in shared
        if (one := parser.prelabel(first_prelabels[task])) is not None
        and (other := parser.prelabel(second_prelabels[task])) is not None
    }
    difference = total_effort([each for images in pairs.values() for each in images])
    efforts = list(_efforts(project, (first_prelabels, second_prelabels), store=store, parser=parser))
    gains = [
        (other.dice or 0.0) - (one.dice or 0.0)
        for arm, one, other in efforts
        if arm == "control" and (one.dice is not None or other.dice is not None)
    ]
    return ShadowComparison(
        project=project,
        versions=(first, second),
        agreement=VersionAgreement(
            tasks=len(pairs),
            both=difference.accepted + difference.edited,
            first_only=difference.deleted,
            second_only=difference.added,
            dice=difference.dice,
        ),
        distances=tuple(_distances(versions, efforts)),
        differing=tuple(_differing(pairs)),
        unreadable=tuple(parser.problems.values()),
        dice_gain=float(np.mean(gains)) if gains else None,
        dice_gain_interval=_bootstrap_interval(gains, num_draws),
    )


def named_versions(names: Sequence[str], registry: ModelRegistry) -> tuple[str, str]:
    """Return the model versions of two names or aliases.

    Raises:
        ModelNotFound: The registry does not have one of them.
    """
    versions = [(name, registry.find(name)) for name in names]
    missing = [name for name, version in versions if version is None]
    if missing:
        raise ModelNotFound(
            f"the registry has no model version {' and no '.join(missing)}; "
            "`yolo-mlsam models list` shows those it has"
        )
    first, second = (str(version) for _, version in versions)
    return first, second


def _efforts(
    project: int,
    prelabels: tuple[dict[int, Prelabel], dict[int, Prelabel]],
    *,
    store: AnnotationStore,
    parser: _RegionParser,
) -> Iterator[tuple[Arm, EditEffort, EditEffort]]:
    """Yield the arm of each correction that both prelabels precede, and the effort of either version on each image."""
    first_prelabels, second_prelabels = prelabels
    comparable = [
        (header, was_shown, one, other)
        for header, _, was_shown in compared_corrections(project, store)
        if (one := first_prelabels.get(header.task_id)) is not None
        and (other := second_prelabels.get(header.task_id)) is not None
        and max(one.created_at, other.created_at) < header.first_updated_at
    ]
    for start in range(0, len(comparable), CHUNK):
        chunk = comparable[start : start + CHUNK]
        contents = store.contents([header.revision for header, *_ in chunk])
        for header, was_shown, one, other in chunk:
            correction = parser.correction(contents[header.revision])
            first, second = parser.prelabel(one), parser.prelabel(other)
            if correction is None or first is None or second is None:
                continue
            arm: Arm = "prelabelled" if was_shown else "control"
            for from_first, from_second, corrected in _image_by_image(first, second, correction):
                yield arm, edit_effort(from_first, corrected), edit_effort(from_second, corrected)


def _differing(pairs: Mapping[int, Sequence[EditEffort]]) -> list[DifferingTask]:
    totals = {task: total_effort(images) for task, images in pairs.items()}
    found = [
        DifferingTask(
            task=task,
            first_only=total.deleted,
            second_only=total.added,
            reshaped=total.edited,
            dice=total.dice,
        )
        for task, total in totals.items()
        if not total.untouched
    ]
    found.sort(key=lambda each: (-each.first_only - each.second_only, each.dice or 0.0, each.task))
    return found[:MAX_DIFFERING]


FindingsByImage = dict[str, list[Finding]]
"""Findings by image key."""


def _image_by_image(*sides: FindingsByImage) -> list[tuple[list[Finding], ...]]:
    """Return the findings of each side, image by image."""
    images = sorted({image for side in sides for image in side})
    return [tuple(side.get(image, []) for side in sides) for image in images]


def _distances(
    versions: Sequence[str], efforts: Sequence[tuple[Arm, EditEffort, EditEffort]]
) -> Iterator[CorrectionDistance]:
    arms: tuple[Arm, ...] = ("control", "prelabelled")
    for arm in arms:
        in_arm = [(one, other) for each, one, other in efforts if each == arm]
        for version, side in zip(versions, zip(*in_arm, strict=True), strict=False):
            total = total_effort(side)
            yield CorrectionDistance(
                version=version,
                arm=arm,
                images=len(side),
                accept_rate=total.accept_rate,
                dice=total.dice,
                missed_per_image=total.added / len(side),
                false_per_image=total.deleted / len(side),
            )


def _bootstrap_interval(gains: Sequence[float], num_draws: int) -> tuple[float, float] | None:
    if len(gains) < 2:
        return None
    samples = np.random.default_rng(0).choice(np.asarray(gains), size=(num_draws, len(gains)))
    low, high = np.percentile(samples.mean(axis=1), (5, 95))
    return float(low), float(high)


@dataclass
class _RegionParser:
    """Interprets regions with a project's tags, and collects the problems of those it cannot interpret."""

    tags: ControlTags
    problems: dict[tuple[str, int, str], str] = field(default_factory=dict)

    def prelabel(self, prelabel: Prelabel) -> FindingsByImage | None:
        source = f"prelabel of {prelabel.model_version}, task {prelabel.task}"
        return self._parse(("prelabel", prelabel.task, prelabel.model_version), source, prelabel.regions, {})

    def correction(self, correction: Correction) -> FindingsByImage | None:
        source = f"annotation {correction.annotation_id}, task {correction.task_id}"
        key = "annotation", correction.annotation_id, ""
        return self._parse(key, source, correction.result, correction.sizes)

    def _parse(
        self,
        key: tuple[str, int, str],
        source: str,
        regions: Sequence[Mapping[str, Any]],
        sizes: Mapping[str, Size],
    ) -> FindingsByImage | None:
        budget = PixelBudget()
        try:
            return {
                each.image_key: from_regions(
                    regions, tags=each, size=sizes.get(each.image_key), budget=budget
                )
                for each in self.tags.everywhere(regions)
            }
        except InvalidRegion as error:
            self.problems[key] = f"{source}: {error}"
            return None
