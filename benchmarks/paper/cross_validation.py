"""The paper's Table 5: five-fold cross-validation by patient of an HQ-SAM arm and the Yolo-MLSAM arm, end to end.

Both arms get the boxes of the same detector, on whole mammograms of patients that neither the detector nor the fold's
segmenter was trained on. The paper does not state the prompts of its HQ-SAM arm; ours gets the box alone. The
Yolo-MLSAM arm adds the middle level to the network and the paper's brightest pixel to the prompt.
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

from benchmarks.paper.segmenter_tables import percent, row_config
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
from training.cases import Case, Progress, portion
from training.evaluation.report import Report, Table
from training.metrics import is_judged
from training.metrics.masks import Rates, image_rates, mean_interval, pixel_rates, rate_intervals
from training.segmenter.finetune import train_network
from training.segmenter.growth import grown
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import TrainingRegions, TrainingRoi

DetectBoxes = Callable[[Mammogram], Sequence[Box]]
"""Returns the boxes at the operating point."""

PAPER_TABLE5: Mapping[str, tuple[float, float, float, float]] = {
    "HQ-SAM": (80.16, 19.52, 81.08, 79.99),
    "Yolo-MLSAM": (87.46, 13.44, 88.33, 86.78),
}
"""Mean TPR, FPR, ACC and Dice in per cent. Dice of the MLSAM folds: 89.21, 87.76, 83.59, 87.58 and 85.74."""

ARMS: Mapping[str, tuple[str, bool]] = {"HQ-SAM": ("HQ-SAM", False), "Yolo-MLSAM": ("MLSAM", True)}
"""By arm: the row of Table 3, and whether the prompt includes the brightest pixel of the box."""


@dataclass(frozen=True)
class ImageScore:
    """The results of one arm on one mammogram."""

    image: str
    patient: str
    dice: tuple[float, ...]
    """Of every true cluster; 0 for a missed one."""

    clusters: tuple[Rates, ...]
    """Pixel counts of the region around every true cluster."""

    found: bool
    """Whether the arm predicted any mask."""


@dataclass(frozen=True, kw_only=True)
class CrossvalPlan:
    """Cases, regions, schedule and detector of Table 5, shared by both arms and all folds."""

    recipe: SegmenterRecipe
    cases: Sequence[Case]
    rois: Sequence[TrainingRoi]
    """Of all cases; each fold trains on the patients of the other folds."""

    detect: DetectBoxes
    folds: int = 5
    seed: int = 0


def patient_folds(cases: Sequence[Case], *, count: int, seed: int) -> dict[str, int]:
    """Assign every patient to a fold, in turn and by descending number of clusters, so that the folds are balanced.

    Raises:
        InsufficientData: fewer patients with clusters than folds.
    """
    clusters: dict[str, int] = {}
    for case in cases:
        clusters[case.patient] = clusters.get(case.patient, 0) + len(case.truth)
    positive = sum(number > 0 for number in clusters.values())
    if positive < count:
        raise InsufficientData(
            f"{count} folds need {count} patients with clusters, but there are {positive}; use fewer folds"
        )

    def tie_breaker(patient: str) -> str:
        return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()

    order = sorted(clusters, key=lambda patient: (-clusters[patient], tie_breaker(patient)))
    return {patient: index % count for index, patient in enumerate(order)}


def table_5(
    start: Path, plan: CrossvalPlan, *, folder: Path, facts: Mapping[str, Any], progress: Progress
) -> Report:
    """Train and evaluate both arms in every fold. A repeated call resumes after the last finished network.

    Args:
        start: weights of a SAM, which each arm extends.
        folder: receives a run folder for every arm and fold.
    """
    network, _ = load_segmenter(start)
    fold_of = patient_folds(plan.cases, count=plan.folds, seed=plan.seed)
    results: dict[str, list[list[ImageScore]]] = {arm: [] for arm in ARMS}
    runs = [(fold, arm) for fold in range(plan.folds) for arm in ARMS]
    for done, (fold, arm) in enumerate(runs):
        part = portion(progress, done / len(runs), (done + 1) / len(runs), prefix=f"{arm}, fold {fold + 1}: ")
        results[arm].append(_run(network, arm, fold, fold_of, plan, folder=folder, progress=part))
    columns = ["arm", "paper TPR / FPR / ACC / Dice", "TPR (pixels)", "FPR (pixels)", "ACC (pixels)"]
    columns += ["Dice, all clusters", "Dice, found clusters", "Dice by fold", "TPR / FPR (images)"]
    patients = [score.patient for scores in results["HQ-SAM"] for score in scores for _ in score.dice]
    gains = [b - a for a, b in zip(_dices(results["HQ-SAM"]), _dices(results["Yolo-MLSAM"]), strict=True)]
    difference = percent(mean_interval(gains, patients), factor=100)
    note = (
        f"Yolo-MLSAM minus HQ-SAM, Dice over all clusters, paired: {difference}. "
        "Paper: private hospital data; the prompts of its HQ-SAM arm are not stated. Rates count the pixels of the "
        "region around each true cluster, unless marked as rates of images. Intervals draw patients."
    )
    return Report(
        title="Table 5: five-fold cross-validation by patient",
        facts={
            **facts,
            "encoder": f"{network.config.encoder} at {network.config.input_size} pixels, frozen",
            "recipe": f"{plan.recipe.name}: policy {plan.recipe.policy}, {plan.recipe.steps} steps",
            "folds": f"{plan.folds}, by patient, seed {plan.seed}",
            "test": f"{len(fold_of)} patients, {len(plan.cases)} images, {len(patients)} clusters",
            "detector": "the same for all folds; trained on none of these patients",
        },
        tables=[
            Table(
                title="By arm, per cent, with 95 % CI",
                columns=columns,
                rows=[_row(arm, results[arm], plan.cases) for arm in ARMS],
                note=note,
            )
        ],
        figures={arm: [[asdict(score) for score in scores] for scores in results[arm]] for arm in ARMS},
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
    """Train one arm on all folds but one, and evaluate it on that one."""
    row, points = ARMS[arm]
    recipe = replace(plan.recipe, seed=plan.seed + fold)
    run_folder = folder / f"{arm}-{fold}"
    weights = train_network(
        grown(start, row_config(start.config, row), seed=recipe.seed),
        TrainingRegions([roi for roi in plan.rois if fold_of[roi.patient] != fold]),
        recipe=recipe,
        folder=run_folder,
        start_competes=False,
        features=folder / f"features-{fold}",
        facts={"arm": arm, "fold": fold},
        progress=portion(progress, 0.0, 0.6),
    )
    trained, facts = load_segmenter(weights)
    held_out = [case for case in plan.cases if fold_of[case.patient] == fold]
    key = hashlib.sha256(
        json.dumps(
            [facts["run"], [[case.image, [box.as_tuple() for box in case.uncertain]] for case in held_out]]
        ).encode()
    ).hexdigest()
    result = run_folder / "scores.json"
    if result.is_file() and (stored := json.loads(result.read_bytes()))["of"] == key:
        return [_image_score(each) for each in stored["scores"]]
    segmenter, scores = Segmenter(trained), []
    for number, case in enumerate(held_out, 1):
        scores.append(measure_image(segmenter, case, detect=plan.detect, points=points))
        progress(0.6 + 0.4 * number / len(held_out), f"image {number} of {len(held_out)}")
    result.write_text(json.dumps({"of": key, "scores": [asdict(score) for score in scores]}))
    return scores


def measure_image(segmenter: Segmenter, case: Case, *, detect: DetectBoxes, points: bool) -> ImageScore:
    """Segment the detected boxes of one mammogram and compare the masks with its truth.

    Args:
        points: whether the prompt of a box includes its brightest pixel.
    """
    mammogram = case.read()
    lesions = [finding.box for finding in case.truth]
    masks = []
    for box in detect(mammogram):
        if not is_judged(box, lesions, uncertain=case.uncertain):
            continue
        embedding = segmenter.embed(mammogram.pixels, box, spacing=mammogram.spacing)
        brightest = _brightest(mammogram, box) if points else []
        inside = [point for point in brightest if embedding.roi.crop.contains(point)]
        mask = segmenter.segment(embedding, box=box, points=inside).mask
        if mask is not None:
            masks.append(mask)
    predicted = union(masks)
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
        dice.append(max((mask.dice(finding.mask) for mask in masks), default=0.0))
        predicted_part = predicted.within(roi) if predicted else None
        rates.append(pixel_rates(predicted_part, finding.mask.within(roi), roi=roi))
    return ImageScore(case.image, case.patient, tuple(dice), tuple(rates), bool(masks))


def image_truth(cases: Sequence[Case]) -> dict[str, bool]:
    """Whether each image has a cluster; without images that have only uncertain places, which are neither."""
    return {case.image: bool(case.truth) for case in cases if case.truth or not case.uncertain}


def _brightest(mammogram: Mammogram, box: Box) -> list[Point]:
    """The paper's point prompt: the brightest pixel of the box."""
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
    overlapping = [(value, owner) for value, owner in zip(dice, patients, strict=True) if value > 0]
    truth = image_truth(cases)
    decided = [score for score in flat if score.image in truth]
    images = image_rates([score.found for score in decided], [truth[score.image] for score in decided])
    by_fold = [100 * mean(_dices([scores]) or [math.nan]) for scores in folds]
    return [
        arm,
        " / ".join(map(str, PAPER_TABLE5[arm])),
        *(percent(rates[name], factor=100) for name in ("tpr", "fpr", "acc")),
        percent(mean_interval(dice, patients), factor=100),
        percent(
            mean_interval([value for value, _ in overlapping], [owner for _, owner in overlapping]),
            factor=100,
        ),
        ", ".join(f"{value:.1f}" for value in by_fold),
        " / ".join("-" if math.isnan(rate) else f"{100 * rate:.1f}" for rate in (images.tpr, images.fpr)),
    ]


def cached_boxes(detect: DetectBoxes, file: Path, *, of: str) -> DetectBoxes:
    """Cache the boxes of every image in a JSON file, because all folds and arms use the same.

    Args:
        of: identifies the detector and all that its boxes depend on; a file of another detector is not used.
    """
    content = json.loads(file.read_bytes()) if file.is_file() else {}
    cache: dict[str, list[list[int]]] = content["boxes"] if content.get("of") == of else {}

    def boxes(mammogram: Mammogram) -> list[Box]:
        if mammogram.sha256 not in cache:
            cache[mammogram.sha256] = [list(box.as_tuple()) for box in detect(mammogram)]
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as part:
                part.write_text(json.dumps({"of": of, "boxes": cache}))
        return [Box(*corners) for corners in cache[mammogram.sha256]]

    return boxes
