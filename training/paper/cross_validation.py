"""Five-fold cross-validation by patient (the paper's Table 5): an HQ-SAM arm and the Yolo-MLSAM arm, end to end.

Both arms get the same detector's boxes on whole mammograms of patients that neither the detector nor the segmenter of
the fold has seen. The paper does not say what prompted its HQ-SAM arm; ours gets the box alone. The Yolo-MLSAM arm adds
the middle level to the network and the paper's brightest pixel to the prompt.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from mammo.atomic_files import replacing
from mammo.dicom import Mammogram
from mammo.errors import InsufficientData
from mammo.geometry import ASSUMED_SPACING, Box, Point
from mammo.masks import union
from mammo.prompts import brightest_points
from mammo.segmenter import Segmenter
from mammo.segmenter.network import Mlsam
from mammo.segmenter.roi import roi_around
from mammo.segmenter.weights import load_segmenter
from training.cases import Case, Progress
from training.evaluation.detector_report import Report, Table
from training.metrics import is_judged
from training.metrics.masks import Rates, image_rates, mean_interval, pixel_rates, rate_intervals
from training.paper.segmenter_tables import percent, row_config
from training.segmenter.finetune import train_network
from training.segmenter.growth import grown
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import TrainingRoi

Detects = Callable[[Mammogram], Sequence[Box]]
"""The boxes of the operating point."""

PAPER_TABLE5: Mapping[str, tuple[float, float, float, float]] = {
    "HQ-SAM": (80.16, 19.52, 81.08, 79.99),
    "Yolo-MLSAM": (87.46, 13.44, 88.33, 86.78),
}
"""Average TPR, FPR, ACC and Dice in per cent; the MLSAM folds' Dice are 89.21, 87.76, 83.59, 87.58 and 85.74."""

ARMS: Mapping[str, tuple[str, bool]] = {"HQ-SAM": ("HQ-SAM", False), "Yolo-MLSAM": ("MLSAM", True)}
"""Row of Table 3, and whether the brightest pixel of the box is part of the prompt."""


@dataclass(frozen=True)
class ImageScore:
    """One mammogram under one arm."""

    image: str
    patient: str
    dice: tuple[float, ...]
    """Of every true cluster, 0 where no box found it."""

    clusters: tuple[Rates, ...]
    """Pixels of the region around every true cluster."""

    found: bool
    """Whether there is any mask."""


@dataclass(frozen=True, kw_only=True)
class CrossvalPlan:
    """What both arms and all folds share."""

    recipe: SegmenterRecipe
    cases: Sequence[Case]
    rois: Sequence[TrainingRoi]
    """Of all cases; each fold trains on those of the other folds' patients."""

    detects: Detects
    folds: int = 5
    seed: int = 0


def patient_folds(cases: Sequence[Case], *, count: int, seed: int) -> dict[str, int]:
    """The fold of each patient. Patients with many clusters are dealt out first, so that folds are alike.

    Raises:
        InsufficientData: fewer patients with clusters than folds.
    """
    clusters: dict[str, int] = {}
    for case in cases:
        clusters[case.patient] = clusters.get(case.patient, 0) + len(case.truth)
    positive = sum(number > 0 for number in clusters.values())
    if positive < count:
        raise InsufficientData(
            f"{count} folds need {count} patients with clusters, there are {positive}; take fewer folds"
        )

    def lot(patient: str) -> str:
        return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()

    order = sorted(clusters, key=lambda patient: (-clusters[patient], lot(patient)))
    return {patient: index % count for index, patient in enumerate(order)}


def table_5(
    start: Path, plan: CrossvalPlan, *, folder: Path, facts: Mapping[str, Any], progress: Progress
) -> Report:
    """Train and measure both arms in every fold; a stopped run goes on.

    Args:
        start: weights of a SAM; each arm adds to it what it adds.
        folder: gets a run folder for every arm and fold.
    """
    network, _ = load_segmenter(start)
    fold_of = patient_folds(plan.cases, count=plan.folds, seed=plan.seed)
    found: dict[str, list[list[ImageScore]]] = {arm: [] for arm in ARMS}
    runs = [(fold, arm) for fold in range(plan.folds) for arm in ARMS]
    for done, (fold, arm) in enumerate(runs):

        def tell(fraction: float, message: str, done: int = done, fold: int = fold, arm: str = arm) -> None:
            progress((done + min(fraction, 1.0)) / len(runs), f"{arm}, fold {fold + 1}: {message}")

        found[arm].append(_run(network, arm, fold, fold_of, plan, folder=folder, progress=tell))
    columns = ["arm", "paper TPR / FPR / ACC / Dice", "TPR (pixels)", "FPR (pixels)", "ACC (pixels)"]
    columns += ["Dice, all clusters", "Dice, found clusters", "Dice by fold", "TPR / FPR (images)"]
    patients = [score.patient for scores in found["HQ-SAM"] for score in scores for _ in score.dice]
    apart = [b - a for a, b in zip(_dices(found["HQ-SAM"]), _dices(found["Yolo-MLSAM"]), strict=True)]
    difference = percent(mean_interval(apart, patients), factor=100)
    note = (
        f"Yolo-MLSAM minus HQ-SAM, Dice over all clusters, paired: {difference}. "
        "Paper: private hospital data; its HQ-SAM arm's prompts are not stated. Rates count the pixels of the region "
        "around each true cluster, or whole images where they say so; intervals draw patients."
    )
    return Report(
        title="Table 5: five-fold cross-validation by patient",
        facts={
            **facts,
            "encoder": f"{network.config.encoder} at {network.config.input_size} pixels, frozen",
            "recipe": f"{plan.recipe.name}: policy {plan.recipe.policy}, {plan.recipe.steps} steps",
            "folds": f"{plan.folds}, by patient, seed {plan.seed}",
            "test": f"{len(fold_of)} patients, {len(plan.cases)} images, {len(patients)} clusters",
            "detector": "the same for all folds; it has seen none of these patients",
        },
        tables=[
            Table(
                title="By arm, per cent, with 95 % CI",
                columns=columns,
                rows=[_row(arm, found[arm], plan.cases) for arm in ARMS],
                note=note,
            )
        ],
        figures={arm: [[asdict(score) for score in scores] for scores in found[arm]] for arm in ARMS},
    )


def _run(
    start: Mlsam,
    arm: str,
    fold: int,
    fold_of: Mapping[str, int],
    plan: CrossvalPlan,
    *,
    folder: Path,
    progress: Progress,
) -> list[ImageScore]:
    row, points = ARMS[arm]
    recipe = replace(plan.recipe, seed=plan.seed + fold)
    here = folder / f"{arm}-{fold}"
    weights = train_network(
        grown(start, row_config(start.config, row), seed=recipe.seed),
        [roi for roi in plan.rois if fold_of[roi.patient] != fold],
        [],
        recipe=recipe,
        folder=here,
        start_competes=False,
        features=folder / f"features-{fold}",
        facts={"arm": arm, "fold": fold},
        progress=lambda fraction, message: progress(0.6 * fraction, message),
    )
    trained, run = load_segmenter(weights)
    held_out = [case for case in plan.cases if fold_of[case.patient] == fold]
    key = hashlib.sha256(
        json.dumps(
            [run["run"], [[case.image, [box.as_tuple() for box in case.uncertain]] for case in held_out]]
        ).encode()
    ).hexdigest()
    result = here / "scores.json"
    if result.is_file() and (known := json.loads(result.read_bytes()))["of"] == key:
        return [_image_score(each) for each in known["scores"]]
    segmenter, scores = Segmenter(trained), []
    for number, case in enumerate(held_out, 1):
        scores.append(measure_image(segmenter, case, detects=plan.detects, points=points))
        progress(0.6 + 0.4 * number / len(held_out), f"image {number} of {len(held_out)}")
    result.write_text(json.dumps({"of": key, "scores": [asdict(score) for score in scores]}))
    return scores


def measure_image(segmenter: Segmenter, case: Case, *, detects: Detects, points: bool) -> ImageScore:
    """Boxes, masks, and how they meet the truth of one mammogram."""
    mammogram = case.read()
    masks = []
    lesions = [finding.box for finding in case.truth]
    for box in detects(mammogram):
        if not is_judged(box, lesions, uncertain=case.uncertain):
            continue
        embedding = segmenter.embed(mammogram.pixels, box, spacing=mammogram.spacing)
        brightest = _brightest(mammogram, box) if points else []
        inside = [point for point in brightest if embedding.roi.crop.contains(point)]
        mask = segmenter.segment(embedding, box=box, points=inside).mask
        if mask is not None:
            masks.append(mask)
    together = union(masks)
    dice, rates = [], []
    for finding in case.truth:
        if finding.mask is None:
            continue
        roi = roi_around(
            finding.box.within(mammogram.size),
            mammogram.size,
            config=segmenter.config,
            spacing=mammogram.spacing,
        ).crop
        part = together.within(roi) if together else None
        truth = finding.mask.within(roi)
        best = max((mask.dice(finding.mask) for mask in masks), default=0.0)
        dice.append(best)
        rates.append(pixel_rates(part, truth, roi=roi))
    return ImageScore(case.image, case.patient, tuple(dice), tuple(rates), bool(masks))


def image_truth(cases: Sequence[Case]) -> dict[str, bool]:
    """Whether each image holds a cluster; without those of which nobody can say it."""
    return {case.image: bool(case.truth) for case in cases if case.truth or not case.uncertain}


def _brightest(mammogram: Mammogram, box: Box) -> list[Point]:
    """The paper's prompt: the one brightest pixel of the box."""
    mm = (mammogram.spacing or ASSUMED_SPACING).mean_mm
    return brightest_points(mammogram.pixels, box, count=1, spacing=1, mm_per_pixel=mm)


def _image_score(fields: dict[str, Any]) -> ImageScore:
    rates = tuple(Rates(**each) for each in fields["clusters"])
    return ImageScore(**{**fields, "dice": tuple(fields["dice"]), "clusters": rates})


def _dices(folds: Sequence[Sequence[ImageScore]]) -> list[float]:
    return [dice for scores in folds for score in scores for dice in score.dice]


def _row(arm: str, folds: Sequence[Sequence[ImageScore]], cases: Sequence[Case]) -> list[str]:
    flat = [score for scores in folds for score in scores]
    patients = [score.patient for score in flat for _ in score.dice]
    rates = rate_intervals([each for score in flat for each in score.clusters], patients)
    dice = _dices(folds)
    found = [(value, owner) for value, owner in zip(dice, patients, strict=True) if value > 0]
    truth = image_truth(cases)
    whole = [score for score in flat if score.image in truth]
    images = image_rates([score.found for score in whole], [truth[score.image] for score in whole])
    by_fold = [100 * mean(_dices([scores]) or [math.nan]) for scores in folds]
    return [
        arm,
        " / ".join(map(str, PAPER_TABLE5[arm])),
        *(percent(rates[name], factor=100) for name in ("tpr", "fpr", "acc")),
        percent(mean_interval(dice, patients), factor=100),
        percent(mean_interval([value for value, _ in found], [owner for _, owner in found]), factor=100),
        ", ".join(f"{value:.1f}" for value in by_fold),
        " / ".join("-" if math.isnan(rate) else f"{100 * rate:.1f}" for rate in (images.tpr, images.fpr)),
    ]


def remembered(detects: Detects, file: Path, *, of: str) -> Detects:
    """The same boxes, computed once per image and kept in a JSON file: folds and arms share one detector.

    Args:
        of: names the detector and all that its boxes depend on; boxes of another are not taken.
    """
    kept = json.loads(file.read_bytes()) if file.is_file() else {}
    known: dict[str, list[list[int]]] = kept["boxes"] if kept.get("of") == of else {}

    def boxes(mammogram: Mammogram) -> list[Box]:
        if mammogram.sha256 not in known:
            known[mammogram.sha256] = [list(box.as_tuple()) for box in detects(mammogram)]
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as part:
                part.write_text(json.dumps({"of": of, "boxes": known}))
        return [Box(*corners) for corners in known[mammogram.sha256]]

    return boxes
