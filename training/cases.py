"""Case: one mammogram with its truth, the unit of training and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mammo.dicom import Mammogram
from mammo.errors import InsufficientData, InvalidTrainingData
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.masks import Mask

Progress = Callable[[float, str], None]
"""Receives the completed part of some work, in [0, 1], and a short message. It may raise `Cancelled` to stop it."""


def silent(fraction: float, message: str) -> None:
    """A `Progress` that does nothing."""


Measure = Callable[[str, int, float], None]
"""Receives a figure of a training while it runs: its name, the epoch or step after which it was taken, its value."""


def unmeasured(name: str, step: int, value: float) -> None:
    """A `Measure` that does nothing."""


def portion(progress: Progress, begin: float, end: float, *, prefix: str = "") -> Progress:
    """The `Progress` of a part of the work, which takes the total from `begin` to `end`.

    Args:
        prefix: put before every message.
    """

    def part(fraction: float, message: str) -> None:
        fraction = min(max(fraction, 0.0), 1.0)
        progress(begin * (1 - fraction) + end * fraction, prefix + message)

    return part


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mammogram and its true findings."""

    image: str
    """SHA-256 of the image file, hexadecimal: the identity of the pixels."""

    patient: str
    """Patient key: groups the views of one person; never a name or an identifier from the hospital."""

    read: Callable[[], Mammogram]
    """Reads the pixels. Called once per pass over the cases; not cached."""

    truth: tuple[Finding, ...]
    """Clusters that a person confirmed, with boxes and masks. Empty, and `uncertain` empty: a normal mammogram."""

    uncertain: tuple[Box, ...] = ()
    """Boxes around places where there may be a cluster of unknown extent. They are neither trained on, as lesion or as
    background, nor judged."""

    task: int | None = None
    """The Label Studio task that the truth is from; None for phantoms."""

    reading: str | None = None
    """What determines the pixels and their spacing besides the bytes of the file; None: unknown, so that no result on
    the image may be cached."""

    calcifications: tuple[Mask, ...] = ()
    """Every single calcification of the clusters, if known, as for phantoms; otherwise empty."""


def check_cases(train: Sequence[Case], validation: Sequence[Case], *, network: str) -> None:
    """Refuse invalid material before hours of training.

    Args:
        network: `detector` or `segmenter`, for the message.

    Raises:
        InsufficientData: no training case has a cluster.
        InvalidTrainingData: a finding has a label that the models do not have (code `foreign_label`), or a patient is
            in both folds (code `patient_in_two_folds`).
    """
    for case in (*train, *validation):
        foreign = sorted({finding.label for finding in case.truth} - {CLUSTER})
        if foreign:
            raise InvalidTrainingData(
                f"image {case.image[:12]} has a finding with the label {foreign[0]!r}; the models only have "
                f"{CLUSTER!r}: rename or remove those regions in Label Studio",
                code="foreign_label",
            )
    shared = {case.patient for case in train} & {case.patient for case in validation}
    if shared:
        raise InvalidTrainingData(
            f"{len(shared)} patients are in both training and validation, for example {min(shared)[:12]}; the figures "
            "would be too good: split by patient, as `training.datasets.folds` does",
            code="patient_in_two_folds",
        )
    if not any(case.truth for case in train):
        raise InsufficientData(
            f"none of the {len(train)} training images has a cluster, so the {network} cannot be trained; annotate "
            "images with clusters"
        )
