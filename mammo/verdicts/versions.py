"""Figures of several model versions on the same held-out images: those that every one of their verdicts has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.verdicts.record import Answer, Image, VerdictRecord

DRAWS = 1000
"""Bootstrap draws of patients."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure, and its 5th and 95th percentile over draws of patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class VersionFigures:
    """One version at its own operating point. None: the images do not define it."""

    version: str
    sensitivity: Estimate | None
    """Share of the lesions that it found, in [0, 1]."""

    false_positives: Estimate | None
    """Per image."""

    dice: Estimate | None
    """Mean over all lesions; a missed one, and one found without a mask, count 0. None if no lesion has a mask."""


@dataclass(frozen=True, kw_only=True)
class CommonFigures:
    """Several versions on the same images."""

    patients: int
    images: int
    lesions: int
    versions: tuple[VersionFigures, ...]
    """In the order of the records."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return asdict(self)


def on_common_images(records: Sequence[VerdictRecord], *, seed: int = 0) -> CommonFigures | None:
    """Compare all versions of some verdicts on the images that every verdict has, with the same lesions.

    A patient who is held out once is held out forever, so later verdicts have the images of earlier ones, unless an
    image was corrected meanwhile: its truth differs then, and it is left out.

    Args:
        records: oldest first; of a version that is in several, the newest counts.
        seed: of the bootstrap.

    Returns:
        None if there is no such image.
    """
    common = _common_images(records)
    if not common:
        return None
    answers: dict[str, list[Answer]] = {}
    for record in records:
        images = {image.sha256: image for image in record.images}
        for role in ("champion", "challenger"):
            version = record.model(role).version
            answers.pop(version, None)
            answers[version] = [images[image.sha256].answer(role) for image in common]
    order = list(dict.fromkeys(each for record in records for each in _versions(record)))
    draws = _draws([image.patient for image in common], seed=seed)
    return CommonFigures(
        patients=len({image.patient for image in common}),
        images=len(common),
        lesions=sum(len(image.lesions) for image in common),
        versions=tuple(_figures(version, common, answers[version], draws) for version in order),
    )


def _versions(record: VerdictRecord) -> tuple[str, str]:
    return record.champion.version, record.challenger.version


def _common_images(records: Sequence[VerdictRecord]) -> list[Image]:
    if not records:
        return []
    images = {image.sha256: image for image in records[0].images}
    for record in records[1:]:
        others = {image.sha256: _truth(image) for image in record.images}
        images = {key: image for key, image in images.items() if others.get(key) == _truth(image)}
    return list(images.values())


def _truth(image: Image) -> tuple[tuple[object, ...], ...]:
    return tuple((lesion.shape.corners, lesion.shape.parts) for lesion in image.lesions)


def _draws(patients: Sequence[str], *, seed: int) -> npt.NDArray[np.float64]:
    """Return how often each image is in each draw of patients: draws x images; the first row has each image once."""
    names = sorted(set(patients))
    owner = np.array([names.index(each) for each in patients])
    chosen = np.random.default_rng(seed).integers(0, len(names), size=(DRAWS, len(names)))
    counts = np.stack([np.bincount(each, minlength=len(names)) for each in chosen])
    return np.vstack([np.ones(len(patients)), counts[:, owner]]).astype(np.float64)


def _figures(
    version: str, images: Sequence[Image], answers: Sequence[Answer], draws: npt.NDArray[np.float64]
) -> VersionFigures:
    lesions = np.array([len(image.lesions) for image in images], np.float64)
    hits = np.array([len({each.lesion for each in answer.found} - {None}) for answer in answers], np.float64)
    false = np.array([sum(each.lesion is None for each in answer.found) for answer in answers], np.float64)
    with_mask = np.array(
        [sum(bool(each.shape.parts) for each in image.lesions) for image in images], np.float64
    )
    dice = np.array([sum(_best_dice(answer).values()) for answer in answers], np.float64)
    return VersionFigures(
        version=version,
        sensitivity=_estimate(draws @ hits, draws @ lesions),
        false_positives=_estimate(draws @ false, draws.sum(axis=1)),
        dice=_estimate(draws @ dice, draws @ with_mask),
    )


def _best_dice(answer: Answer) -> dict[int, float]:
    best: dict[int, float] = {}
    for each in answer.found:
        if each.lesion is not None:
            best[each.lesion] = max(best.get(each.lesion, 0.0), each.dice or 0.0)
    return best


def _estimate(above: npt.NDArray[np.float64], below: npt.NDArray[np.float64]) -> Estimate | None:
    if not below[0]:
        return None
    ratios = above[1:][below[1:] > 0] / below[1:][below[1:] > 0]
    low, high = np.percentile(ratios, (5, 95))
    return Estimate(value=float(above[0] / below[0]), low=float(low), high=float(high))
