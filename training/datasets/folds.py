"""Folds: every patient belongs to train, validation or test, permanently.

The views of a person look alike, so patients are assigned to folds, not images. The table of patients outlives every
dataset version: a patient that a champion was trained on never appears in a later test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from mammo.blobs import Blobs
from mammo.database import dataset_version, insert, patient_fold, reading, writing
from mammo.errors import InvalidWeights

Fold = Literal["train", "test", "validation"]

log = structlog.get_logger()

SHARES: Mapping[Fold, float] = {"train": 0.6, "test": 0.25, "validation": 0.15}
"""Target shares of patients. Ties go to the earlier fold: the first patient is for training, the second for testing."""


def assign_folds(
    engine: Engine, patients: Mapping[str, bool], *, before: Mapping[str, Collection[Fold]]
) -> dict[str, Fold]:
    """Look up the fold of each patient, and assign new patients.

    Args:
        patients: patient key to whether the patient has any finding; new patients are balanced by it.
        before: for new patient keys, the folds of their images under former keys (see `folds_before`). A person that a
            model was trained on is never tested on, even under another key.

    Raises:
        StorageUnavailable: new patients cannot be recorded.
    """
    with writing(engine) as connection:
        rows = connection.execute(sa.select(patient_fold)).all()
        assigned: dict[str, Fold] = {row.patient: row.fold for row in rows}
        unassigned = _without(patients, assigned)
        new = {patient: fold for patient in unassigned if (fold := _inherited(before.get(patient, ())))}
        counts = Counter((row.positive, row.fold) for row in rows)
        counts.update((unassigned[patient], fold) for patient, fold in new.items())
        new |= choose_folds(counts, _without(unassigned, new))
        now = datetime.now(UTC)
        for patient, fold in new.items():
            row = {"patient": patient, "fold": fold, "positive": patients[patient], "assigned_at": now}
            connection.execute(insert(connection, patient_fold).values(row))
    return {patient: assigned.get(patient) or new[patient] for patient in sorted(patients)}


def folds_before(engine: Engine, blobs: Blobs, owners: Iterable[tuple[str, str]]) -> dict[str, set[Fold]]:
    """The folds of each patient's images in the newest dataset versions, under whatever patient key they had there.

    Args:
        owners: patient key and SHA-256 of each image.
    """
    images = _folds_of_images(engine, blobs)
    folds: dict[str, set[Fold]] = {}
    for patient, image in owners:
        if image in images:
            folds.setdefault(patient, set()).add(images[image])
    return folds


def choose_folds(counts: Mapping[tuple[bool, Fold], int], patients: Mapping[str, bool]) -> dict[str, Fold]:
    """Assign new patients, in the order of their keys, each to the fold with the largest shortfall.

    The shortfall among patients of the same kind and the shortfall among all patients are added. So the folds have
    similar shares of positive patients, and the first seven patients include two for the test whatever their kind.

    Args:
        counts: number of assigned patients, by (positive, fold).
        patients: new patients, and whether each is positive.
    """
    counts = Counter(counts)
    chosen: dict[str, Fold] = {}
    for patient in sorted(patients):
        positive = patients[patient]
        of_kind, of_all = _shortfall(counts, (positive,)), _shortfall(counts, (True, False))
        shortfall = {fold: round(of_kind[fold] + of_all[fold], 9) for fold in SHARES}
        fold = max(SHARES, key=shortfall.__getitem__)
        chosen[patient] = fold
        counts[positive, fold] += 1
    return chosen


def _shortfall(counts: Mapping[tuple[bool, Fold], int], kinds: Sequence[bool]) -> dict[Fold, float]:
    """Number of patients that each fold lacks of its share after one more patient."""
    sizes = {fold: sum(counts[kind, fold] for kind in kinds) for fold in SHARES}
    total = 1 + sum(sizes.values())
    return {fold: share * total - sizes[fold] for fold, share in SHARES.items()}


def _inherited(folds: Collection[Fold]) -> Fold | None:
    """The fold for a person whose images were in several: the one with the most influence on a model."""
    order: tuple[Fold, ...] = ("train", "validation", "test")
    return next((fold for fold in order if fold in folds), None)


def _without(patients: Mapping[str, bool], assigned: Mapping[str, Fold]) -> dict[str, bool]:
    return {patient: positive for patient, positive in patients.items() if patient not in assigned}


def _folds_of_images(engine: Engine, blobs: Blobs) -> dict[str, Fold]:
    """The fold of every image in its project's newest dataset version, by SHA-256 of the image."""
    columns = dataset_version.c
    with reading(engine) as connection:
        rows = connection.execute(sa.select(columns.name, columns.project).order_by(columns.created_at)).all()
    newest: dict[int, str] = {row.project: row.name for row in rows}
    folds: dict[str, Fold] = {}
    for name in newest.values():
        try:
            items = orjson.loads(blobs.read(name))["items"]
        except InvalidWeights as error:
            log.warning("the folds of a dataset version cannot be read", code=error.code)
            continue
        folds.update({item["image"]: item["fold"] for item in items})
    return folds
