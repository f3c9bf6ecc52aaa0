"""Out-of-fold predictions: every patient is predicted by a model that learned from the project, but not from her.

The corrected patients are split into K folds. For each fold, the networks of a version that learned from none of them
are fine-tuned on the other folds, by the recipe of provisional models, and predict the images of the fold. The K models
share start, recipe and material, so their predictions are judged as those of one model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from mammo.atomic_files import replacing
from mammo.errors import InsufficientData, MammoError
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.masks import Mask
from mammo.models import ModelFiles
from training.cases import Case, Progress, portion
from training.datasets.folds import Fold
from training.datasets.items import OpenImage, is_about_one_image
from training.datasets.versions import DatasetVersion
from training.provisional.left_out import Trainer
from training.provisional.material import draw_copies
from training.provisional.recipes import ProvisionalRecipe
from training.second_look.predictions import CUT, Predictions

if TYPE_CHECKING:  # brings torch in
    from mammo.pipeline import Prelabeller
    from training.retrain.networks import Networks

log = structlog.get_logger()

Found = list[Finding] | str
"""What was found on an image, or why it was not predicted."""

FoundJson = list[dict[str, Any]] | str
"""The same as JSON values; see `finding_to_json`."""


@dataclass(frozen=True, kw_only=True)
class FoldPlan:
    """How out-of-fold predictions are made; recorded with the search that used them."""

    folds: int
    """Number of folds; at least 2."""

    seed: int
    """Of the split of the patients."""

    base: str
    """Model version whose networks are fine-tuned; it learned from none of the patients."""

    recipe: str
    """A key of `training.provisional.recipes.PROVISIONAL_RECIPES`."""

    @property
    def name(self) -> str:
        """What the models of all folds are called together; at most 64 characters."""
        return f"out of fold ({self.folds}) from {self.base}"[:64]

    @property
    def key(self) -> str:
        """Differs for every other plan; may be in a file name."""
        return hashlib.sha256(json.dumps(self.to_json()).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def folds_of(patients: Collection[str], *, folds: int, seed: int) -> list[list[str]]:
    """Split patients at random into folds of nearly equal size; the same arguments give the same folds.

    Raises:
        InsufficientData: there are fewer patients than folds.
    """
    ordered = sorted(set(patients))
    if folds < 2 or len(ordered) < folds:
        raise InsufficientData(
            f"{len(ordered)} corrected patients came for {folds} folds; a fold needs a patient and there must be two: "
            f"take 2 to {max(len(ordered), 2)} folds, or correct more patients"
        )
    shuffled = [ordered[index] for index in np.random.default_rng(seed).permutation(len(ordered))]
    return [sorted(shuffled[first::folds]) for first in range(folds)]


def out_of_fold_predictions(
    dataset: DatasetVersion,
    plan: FoldPlan,
    *,
    base: ModelFiles,
    recipe: ProvisionalRecipe,
    networks: Networks,
    open_image: OpenImage,
    folder: Path,
    progress: Progress,
) -> Predictions:
    """Predict every image of a dataset version out of fold. A killed call continues with the fold where it was.

    Args:
        base: files of `plan.base`.
        folder: for the files; removed at the end, because it holds pixels of patients.

    Raises:
        InsufficientData: fewer patients than folds, or the patients of all other folds have no cluster.
        Cancelled: by `progress`; the same call goes on.
    """
    names: tuple[Fold, ...] = ("train", "validation", "test")
    cases = [case for name in names for case in dataset.cases(name, open_image=open_image)]
    found = predict_out_of_fold(
        cases, plan, base=base, recipe=recipe, networks=networks, folder=folder, progress=progress
    )
    predictions = Predictions()
    for item in dataset.items:
        result = found[item.image]
        if isinstance(result, str):
            predictions.skipped[result] += 1
        else:
            predictions.by_model[plan.name].append((item, result))
    shutil.rmtree(folder)
    return predictions


def predict_out_of_fold(
    cases: Sequence[Case],
    plan: FoldPlan,
    *,
    base: ModelFiles,
    recipe: ProvisionalRecipe,
    networks: Networks,
    folder: Path,
    progress: Progress,
) -> dict[str, Found]:
    """Predict every image out of fold; returns what was found by SHA-256 of the image. See `out_of_fold_predictions`.

    Args:
        folder: keeps the predictions of the folds that are done, and the material; the caller removes it.
    """
    folds = folds_of({case.patient for case in cases}, folds=plan.folds, seed=plan.seed)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    copies = draw_copies(cases, recipe, folder=folder / "material", progress=portion(progress, 0.0, 0.1))
    trainer = Trainer(networks=networks, start=base, recipe=recipe, copies=copies)
    found: dict[str, Found] = {}
    for number, patients in enumerate(folds, start=1):
        share = portion(
            progress,
            0.1 + 0.9 * (number - 1) / plan.folds,
            0.1 + 0.9 * number / plan.folds,
            prefix=f"fold {number} of {plan.folds}: ",
        )
        place, done = folder / f"fold-{number}", folder / f"fold-{number}.json"
        if not done.is_file():
            kept = [case for case in cases if case.patient not in patients]
            held_out = [case for case in cases if case.patient in patients]
            files = trainer.fit(kept, folder=place, progress=portion(share, 0.0, 0.6))
            prelabeller = networks.load(replace(files, version=plan.name))
            write_found(done, predict_cases(prelabeller, held_out, progress=portion(share, 0.6, 1.0)))
            log.info("fold predicted", fold=number, folds=plan.folds, images=len(held_out))
        shutil.rmtree(place, ignore_errors=True)  # a model that lacks a fold serves nobody
        found |= read_found(done)
    return found


def predict_cases(
    prelabeller: Prelabeller, cases: Sequence[Case], *, progress: Progress
) -> dict[str, FoundJson]:
    """Predict images at the model's operating point; returns what `write_found` writes, by image."""
    results: dict[str, FoundJson] = {}
    for number, case in enumerate(cases, start=1):
        try:
            mammogram = case.read()
            found = prelabeller.prelabel(mammogram, threshold=None)
        except MammoError as error:
            if not is_about_one_image(error):
                raise
            results[case.image] = f"the image cannot be predicted ({error.code})"
        else:
            kept = [finding_to_json(each, mammogram.size) for each in found.findings]
            results[case.image] = CUT if found.num_cut else kept
        progress(number / len(cases), f"{number} of {len(cases)} images")
    return results


def write_found(path: Path, found: Mapping[str, FoundJson]) -> None:
    """Write predictions by image, at once or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(found))


def read_found(path: Path) -> dict[str, Found]:
    """Read what `write_found` wrote."""
    results: dict[str, FoundJson] = json.loads(path.read_bytes())
    return {
        image: result if isinstance(result, str) else [finding_of(each) for each in result]
        for image, result in results.items()
    }


def finding_to_json(finding: Finding, size: Size) -> dict[str, Any]:
    """Return score, box and mask of a prediction; the mask as COCO RLE of the whole image of this size."""
    return {
        "score": finding.score,
        "box": list(finding.box.as_tuple()),
        "mask": finding.mask and finding.mask.to_coco(size),
    }


def finding_of(content: dict[str, Any]) -> Finding:
    """Return the prediction that `finding_to_json` wrote."""
    mask = Mask.from_coco(content["mask"]) if content["mask"] else None
    return Finding(label=CLUSTER, score=content["score"], box=Box(*content["box"]), mask=mask)
