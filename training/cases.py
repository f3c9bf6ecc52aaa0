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
"""Told how far a stage is, in [0, 1], with a short message; may raise `Cancelled` to stop it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mammogram and what is truly in it."""

    image: str
    """SHA-256 of the image file, hexadecimal: the identity of the pixels."""

    patient: str
    """Patient key: groups the views of one person; never a name or an identifier from the hospital."""

    read: Callable[[], Mammogram]
    """Reads the pixels; called once per pass, nothing is cached here."""

    truth: tuple[Finding, ...]
    """Clusters a person confirmed (boxes and masks); empty for a normal mammogram, if nothing is uncertain in it."""

    uncertain: tuple[Box, ...] = ()
    """Where there may be a cluster of unknown extent: neither learned as lesion nor as background, nor judged."""

    calcifications: tuple[Mask, ...] = ()
    """Every calcification of the clusters, where somebody knows them one by one; phantoms do."""


def silent(fraction: float, message: str) -> None:
    """A `Progress` that tells nobody."""


def check_cases(train: Sequence[Case], validation: Sequence[Case], *, what: str) -> None:
    """Refuse material that must not be trained on, before hours are spent on it.

    Args:
        what: who learns: `detector` or `segmenter`, for the message.

    Raises:
        InsufficientData: no training case has a cluster.
        InvalidTrainingData: a label that is no class of the models (code `foreign_label`), or a patient in both folds
            (code `patient_in_two_folds`).
    """
    for case in (*train, *validation):
        foreign = sorted({finding.label for finding in case.truth} - {CLUSTER})
        if foreign:
            raise InvalidTrainingData(
                f"image {case.image[:12]} has the label {foreign[0]!r}; the models know only {CLUSTER!r}: rename or "
                "remove those regions in Label Studio",
                code="foreign_label",
            )
    shared = {case.patient for case in train} & {case.patient for case in validation}
    if shared:
        raise InvalidTrainingData(
            f"{len(shared)} patients are in training and in validation, {min(shared)[:12]} among them; the figures "
            "would flatter the model: split by patient, as `training.datasets.folds` does",
            code="patient_in_two_folds",
        )
    if not any(case.truth for case in train):
        raise InsufficientData(
            f"none of {len(train)} training images has a cluster: the {what} cannot learn; annotate some that have"
        )
