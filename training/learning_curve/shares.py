"""25, 50, 75 and 100 % of the corrected patients, trained on and measured on the same held-out patients.

All four points are made by the recipe of provisional models, in minutes each: a curve must not mix methods, and a full
retrain at every share would take days on a CPU. A full retrain lies higher; what more patients bring is alike.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo.errors import InsufficientData
from mammo.models import ModelFiles
from training.cases import Case, Progress, portion
from training.datasets.versions import DatasetVersion
from training.evaluation.model_version import Evaluation, evaluate
from training.learning_curve.curve import Measurement
from training.provisional.left_out import Trainer
from training.provisional.material import draw_copies
from training.provisional.recipes import ProvisionalRecipe
from training.retrain.context import RetrainContext

SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class MeasuredShares:
    """The points, and the champion on the same patients."""

    measurements: list[Measurement]
    champion: Evaluation


def measure_shares(
    dataset: DatasetVersion,
    *,
    champion: ModelFiles,
    recipe: ProvisionalRecipe,
    context: RetrainContext,
    folder: Path,
    progress: Progress,
) -> MeasuredShares:
    """Train on nested shares of the patients that are not held out, and evaluate each on those that are.

    The patients of a smaller share are in every larger one. Their order is that of their keys, which are hashes: at
    random, and the same in every call. A killed call continues where it was.

    Args:
        champion: from which every training starts; it is evaluated too.
        folder: for the files; removed at the end, because it holds pixels of patients.

    Raises:
        InsufficientData: fewer than four patients to train on, or no held-out one with a cluster.
        Cancelled: by `progress`.
    """
    train = [
        case
        for fold in ("train", "validation")
        for case in dataset.cases(fold, open_image=context.open_image)
    ]
    test = dataset.cases("test", open_image=context.open_image)
    patients = sorted({case.patient for case in train})
    if len(patients) < len(SHARES) or not any(case.truth for case in test):
        raise InsufficientData(
            f"{len(patients)} patients to train on and {len({case.patient for case in test})} held-out ones came; a "
            f"learning curve needs at least {len(SHARES)} to train on, and a held-out patient with a cluster"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    copies = draw_copies(train, recipe, folder=folder / "material", progress=portion(progress, 0.0, 0.05))
    trainer = Trainer(networks=context.networks, start=champion, recipe=recipe, copies=copies)
    load = context.networks.load
    before = evaluate(load(champion), test, progress=portion(progress, 0.05, 0.15), cache=context.evaluations)
    measurements = []
    for number, size in enumerate(sizes_of(len(patients))):
        part = portion(
            progress, 0.15 + 0.85 * number / 4, 0.15 + 0.85 * (number + 1) / 4, prefix=f"{size} patients: "
        )
        cases = _of(train, patients[:size])
        trained = trainer.fit(cases, folder=folder / f"share-{number}", progress=portion(part, 0.0, 0.7))
        after = evaluate(load(trained), test, progress=portion(part, 0.7, 1.0))
        measurements.append(Measurement(size, after, f"{SHARES[number]:.0%}"))
    shutil.rmtree(folder)
    return MeasuredShares(measurements, before)


def sizes_of(patients: int) -> list[int]:
    """The number of patients at each share, at least one."""
    return [max(1, round(share * patients)) for share in SHARES]


def _of(cases: Sequence[Case], patients: Sequence[str]) -> list[Case]:
    return [case for case in cases if case.patient in set(patients)]
