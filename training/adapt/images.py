"""Images: which backgrounds an adaptation trains on, which are held out, and which are set aside or left out.

Patients keep the folds that they have in dataset versions, and new ones are assigned as there
(`training.datasets.folds`): a patient that an adaptation was trained on is never in a later test, and the other way
round. About a quarter of the patients, the fold `test`, is held out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.backgrounds import Background, BackgroundSet
from mammo.database import dataset_version, reading
from mammo.errors import InsufficientData, InvalidBackgrounds, InvalidSettings, UnreadableImage
from mammo.runs.states import NO_PROJECT
from training.adapt.suspicious import StrongDetections, suspicious_boxes
from training.cases import Progress
from training.datasets.folds import assign_folds, folds_before
from training.datasets.versions import newest_name
from training.retrain.context import RetrainContext

MIN_IMAGES, MIN_TRAIN, MIN_HELD_OUT = 12, 6, 4
"""Least number of images: given, trained on, and held out."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The background images of one adaptation."""

    train: tuple[Background, ...]
    validation: tuple[Background, ...]
    """Of further patients, who choose among the segmenter's checkpoints."""

    held_out: tuple[Background, ...]
    set_aside: tuple[Background, ...]
    """Suspicious ones."""

    unreadable: tuple[Background, ...] = ()
    """Images whose file is missing or damaged, or cannot be opened."""

    def to_json(self) -> dict[str, list[str]]:
        """The SHA-256 of each image, by part."""
        return {part: [each.sha256 for each in getattr(self, part)] for part in PARTS}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], sets: Sequence[BackgroundSet]) -> Images:
        """Inverse of `to_json`.

        Raises:
            InvalidBackgrounds: an image is no longer in a set (code `missing_background`).
        """
        known = {background.sha256: background for background in unique(sets)}
        missing = sum(digest not in known for part in PARTS for digest in content.get(part, ()))
        if missing:
            raise InvalidBackgrounds(
                f"{missing} images that this run began with are no longer in its background sets; add them again, or "
                "start a new run",
                code="missing_background",
            )
        # A run that an earlier release began has no unreadable images.
        return cls(**{part: tuple(known[digest] for digest in content.get(part, ())) for part in PARTS})


PARTS = ("train", "validation", "held_out", "set_aside", "unreadable")


def unique(sets: Sequence[BackgroundSet]) -> list[Background]:
    """The images of all sets, each once, in the order of their hashes."""
    known = {background.sha256: background for each in sets for background in each.backgrounds}
    return [known[digest] for digest in sorted(known)]


def require_enough_images(sets: Sequence[BackgroundSet]) -> None:
    """Refuse sets that cannot be split, before anything is computed; raises InsufficientData."""
    images = unique(sets)
    patients = {image.patient for image in images}
    if len(images) < MIN_IMAGES or len(patients) < 2:
        raise InsufficientData(
            f"{len(images)} images of {len(patients)} patients came; an adaptation needs at least {MIN_IMAGES} images "
            "of several patients, about 64 to be worth it: add more with `yolo-mlsam backgrounds add FOLDER`"
        )


def split(
    images: Sequence[Background],
    *,
    detectors: Sequence[StrongDetections],
    context: RetrainContext,
    progress: Progress,
    note: Callable[[str], None],
) -> Images:
    """Set suspicious images aside and split the others by patient; new patients get their fold for ever.

    An image that cannot be read is left out, with a note.

    Args:
        images: each once.
        detectors: see `suspicious_boxes`.
        progress: called for every image.
        note: receives a sentence about every image that cannot be read.

    Raises:
        InsufficientData: too few images are left to train on, or to hold out.
    """
    suspicious, unreadable = set(), set()
    for number, image in enumerate(images, 1):
        try:
            if suspicious_boxes(image.read(), detectors):
                suspicious.add(image.sha256)
        except (InvalidBackgrounds, UnreadableImage) as error:
            unreadable.add(image.sha256)
            note(f"left out, it cannot be read: {image.path.parent.name}/{image.path.name}: {error}")
        progress(number / len(images), f"looking at image {number} of {len(images)}")
    normal = [image for image in images if image.sha256 not in suspicious | unreadable]
    set_aside = tuple(image for image in images if image.sha256 in suspicious)
    if len(normal) < MIN_TRAIN + MIN_HELD_OUT:
        raise _too_few(len(images), len(set_aside), f"{len(normal)} are left")
    owners = [(image.patient, image.sha256) for image in normal]
    folds = assign_folds(
        context.engine,
        {image.patient: False for image in normal},
        before=folds_before(context.engine, context.blobs, owners),
    )
    train, validation, held_out = (
        [image for image in normal if folds[image.patient] == fold]
        for fold in ("train", "validation", "test")
    )
    if len(held_out) < MIN_HELD_OUT:  # neither fold is trained on
        held_out, validation = [*held_out, *validation], []
    if len(train) < MIN_TRAIN or len(held_out) < MIN_HELD_OUT:
        left = f"{len(train)} are of patients to train on and {len(held_out)} of held-out patients"
        raise _too_few(len(images), len(set_aside), left)
    return Images(
        train=tuple(train),
        validation=tuple(validation),
        held_out=tuple(held_out),
        set_aside=set_aside,
        unreadable=tuple(image for image in images if image.sha256 in unreadable),
    )


def frozen_dataset(project: int, *, engine: Engine) -> str | None:
    """The dataset version with the project's frozen test patients; None without one.

    Raises:
        InvalidSettings: no project is named, but there are test patients: a challenger must not pass them by.
    """
    with reading(engine) as connection:
        if project != NO_PROJECT:
            return newest_name(connection, project)
        projects = sorted(connection.scalars(sa.select(dataset_version.c.project).distinct()))
    if projects:
        raise InvalidSettings(
            f"project {' and '.join(map(str, projects))} has dataset versions with frozen test patients; name with "
            "--project the one on which the challenger must not be worse"
        )
    return None


def _too_few(num_images: int, num_set_aside: int, left: str) -> InsufficientData:
    return InsufficientData(
        f"{num_images} images came, {num_set_aside} were set aside as suspicious, and {left}; an adaptation needs "
        f"{MIN_TRAIN} to train on and {MIN_HELD_OUT} held out, of different patients: add images of more patients with "
        "`yolo-mlsam backgrounds add FOLDER`"
    )
