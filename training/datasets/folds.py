"""Folds: every patient belongs to one of train, validation and test, for ever.

All views of a person share much of their look, so folds hold patients, not images. The table of patients outlives
every dataset version: a patient that a champion was once trained on can never appear in a later test.
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
"""Target shares of patients. Ties go to the earlier one, so the first patient trains and the second tests."""


def assign_folds(
    engine: Engine, patients: Mapping[str, bool], *, before: Mapping[str, Collection[Fold]]
) -> dict[str, Fold]:
    """The fold of each patient; new patients are assigned now and keep theirs.

    Args:
        patients: patient key to whether any finding of theirs is known, by which new patients are balanced.
        before: of a patient key that is new, the folds in which images of the same person have been under another
            key. Whom a model has been trained on is never tested on later, whatever the person is called by then.

    Raises:
        StorageUnavailable: new patients cannot be recorded.
    """
    with writing(engine) as connection:
        rows = connection.execute(sa.select(patient_fold)).all()
        known: dict[str, Fold] = {row.patient: row.fold for row in rows}
        missing = _missing(patients, known)
        new = {patient: fold for patient in missing if (fold := _taken_over(before.get(patient, ())))}
        counts = Counter((row.positive, row.fold) for row in rows)
        counts.update((missing[patient], fold) for patient, fold in new.items())
        new |= choose_folds(counts, _missing(missing, new))
        now = datetime.now(UTC)
        for patient, fold in new.items():
            row = {"patient": patient, "fold": fold, "positive": patients[patient], "assigned_at": now}
            connection.execute(insert(connection, patient_fold).values(row))
    return {patient: known.get(patient) or new[patient] for patient in sorted(patients)}


def folds_before(engine: Engine, blobs: Blobs, owners: Iterable[tuple[str, str]]) -> dict[str, set[Fold]]:
    """The folds in which images of each patient were, whatever the patient was called then.

    Args:
        owners: patient key and SHA-256 of each image.
    """
    images = _folds_of_images(engine, blobs)
    found: dict[str, set[Fold]] = {}
    for patient, image in owners:
        if image in images:
            found.setdefault(patient, set()).add(images[image])
    return found


def choose_folds(counts: Mapping[tuple[bool, Fold], int], patients: Mapping[str, bool]) -> dict[str, Fold]:
    """Folds for new patients, in the order of their keys: each goes where patients are missing most.

    What is missing of its kind and what is missing over all count alike: so folds stay alike in their share of
    positive patients, and the first seven patients hold two for the test whatever they are.

    Args:
        counts: patients that are assigned already, by (positive, fold).
        patients: new patients and whether they are positive.
    """
    taken = Counter(counts)
    chosen: dict[str, Fold] = {}
    for patient in sorted(patients):
        positive = patients[patient]
        kind, everyone = _shortfall(taken, (positive,)), _shortfall(taken, (True, False))
        missing = {fold: round(kind[fold] + everyone[fold], 9) for fold in SHARES}
        fold = max(SHARES, key=missing.__getitem__)
        chosen[patient] = fold
        taken[positive, fold] += 1
    return chosen


def _shortfall(taken: Mapping[tuple[bool, Fold], int], kinds: Sequence[bool]) -> dict[Fold, float]:
    """How many patients each fold would lack of its share if one more came."""
    held = {fold: sum(taken[kind, fold] for kind in kinds) for fold in SHARES}
    total = 1 + sum(held.values())
    return {fold: share * total - held[fold] for fold, share in SHARES.items()}


def _taken_over(folds: Collection[Fold]) -> Fold | None:
    """The fold of someone whose images were in several: the one that has seen most of a model's making."""
    order: tuple[Fold, ...] = ("train", "validation", "test")
    return next((fold for fold in order if fold in folds), None)


def _missing(patients: Mapping[str, bool], known: Mapping[str, Fold]) -> dict[str, bool]:
    return {patient: positive for patient, positive in patients.items() if patient not in known}


def _folds_of_images(engine: Engine, blobs: Blobs) -> dict[str, Fold]:
    """The fold that each image had in its project's newest dataset version, by SHA-256 of the image."""
    columns = dataset_version.c
    with reading(engine) as connection:
        rows = connection.execute(sa.select(columns.name, columns.project).order_by(columns.created_at)).all()
    newest: dict[int, str] = {row.project: row.name for row in rows}
    found: dict[str, Fold] = {}
    for name in newest.values():
        try:
            items = orjson.loads(blobs.read(name))["items"]
        except InvalidWeights as error:
            log.warning("the folds of a dataset version cannot be read", code=error.code)
            continue
        found.update({item["image"]: item["fold"] for item in items})
    return found
