"""The paper's tables of the detector, run again: attentions (Table 1) and thresholds (Table 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from mammo.detector.runtime import RuntimeName
from training.cases import Case, Progress, silent
from training.detector.finetune import finetune_detector
from training.detector.recipes import DetectorRecipe
from training.evaluation.detector import Measured, Scored, finder, hits_of, measure, score_images
from training.evaluation.detector_report import Report, Table, intervals, split
from training.evaluation.operating_point import threshold_at
from training.metrics import Counts, Interval, box_dice, centre_rule, froc, interval

ATTENTIONS = ("none", "cbam", "se", "eca")
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the paper's Table 2."""


def table_2(
    scored: Sequence[Scored], *, facts: Mapping[str, Any], draws: int = 1000, seed: int = 0
) -> Report:
    """TPR, FPR, ACC, precision and Dice at the paper's thresholds, on the same detections."""
    rows, figures = [], {}
    for threshold in THRESHOLDS:
        found = _at(scored, threshold, draws=draws, seed=seed)
        rows.append([f"{threshold:g}", *(str(each) for each in found.values())])
        figures[f"{threshold:g}"] = {name: asdict(each) for name, each in found.items()}
    note = (
        "TPR and precision count clusters and boxes (a hit: the detection's centre in the cluster's box), FPR and ACC "
        "images (called positive with any box), Dice boxes, 0 for a missed cluster."
    )
    columns = [
        "threshold",
        "TPR",
        "FPR (images)",
        "ACC (images)",
        "precision",
        "Dice (boxes)",
        "FP per image",
    ]
    return Report(
        title="Table 2: confidence threshold",
        facts={**facts, **split(scored), "intervals": intervals(draws, seed)},
        tables=[Table(title="By threshold, with 95 % CI", columns=columns, rows=rows, note=note)],
        figures=figures,
        curves={"detector": scored},
    )


def _at(scored: Sequence[Scored], threshold: float, *, draws: int, seed: int) -> dict[str, Interval]:
    counts = Counts.of(hits_of(scored, rule=centre_rule), threshold)
    dice = [
        box_dice([each.box for each in image.found if each.score >= threshold], image.truth)
        for image in scored
    ]
    sums, numbers = np.array([sum(each) for each in dice]), np.array([len(each) for each in dice], np.float64)
    over = partial(interval, owners=[image.patient for image in scored], draws=draws, seed=seed)
    return {
        "tpr": over(lambda weights: counts.figures(weights).sensitivity),
        "fpr": over(lambda weights: counts.figures(weights).image_fpr),
        "acc": over(lambda weights: counts.figures(weights).image_accuracy),
        "precision": over(lambda weights: counts.figures(weights).precision),
        "dice": over(lambda weights: _ratio(float(weights @ sums), float(weights @ numbers))),
        "false_positives": over(lambda weights: counts.figures(weights).false_positives),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


@dataclass(frozen=True, kw_only=True)
class Table1Plan:
    """What Table 1 is made of: the same patients, schedule and seeds for every attention."""

    recipe: DetectorRecipe
    seeds: Sequence[int]
    train: Sequence[Case]
    validation: Sequence[Case]
    """For the threshold of each network; never trained on."""

    test: Sequence[Case]
    rate: float = 0.5
    """False positives per validation image at which a network's threshold is set."""

    runtime: RuntimeName = "auto"
    """What the networks are measured on."""


def table_1(plan: Table1Plan, *, folder: Path, facts: Mapping[str, Any], progress: Progress) -> Report:
    """Train every attention with every seed from scratch and measure it; a stopped table goes on.

    Args:
        folder: gets a run folder for every network.
    """
    runs = [(kind, seed) for kind in ATTENTIONS for seed in plan.seeds]
    found: dict[str, list[tuple[int, Measured]]] = {kind: [] for kind in ATTENTIONS}
    curves: dict[str, Sequence[Scored]] = {}
    for done, (kind, seed) in enumerate(runs):

        def tell(fraction: float, message: str, done: int = done, kind: str = kind, seed: int = seed) -> None:
            progress((done + min(fraction, 1.0)) / len(runs), f"{kind}, seed {seed}: {message}")

        measured, scored = _one(plan, kind, seed, folder=folder / f"{kind}-{seed}", progress=tell)
        found[kind].append((seed, measured))
        curves.setdefault(kind, scored)
    return Report(
        title="Table 1: attention",
        facts={
            **facts,
            **split(next(iter(curves.values()))),
            "recipe": f"{plan.recipe.name}: {plan.recipe.epochs} epochs, tiles of {plan.recipe.tile} pixels",
            "training seeds": ", ".join(map(str, plan.seeds)),
            "threshold": f"of each network: {plan.rate:g} false positives per image on the validation patients",
            "intervals": intervals(1000, 0),
        },
        tables=[_means(found), _runs(found)],
        figures={
            kind: {str(seed): asdict(each) for seed, each in each_of} for kind, each_of in found.items()
        },
        curves={f"{kind}, seed {plan.seeds[0]}": scored for kind, scored in curves.items()},
    )


def _one(
    plan: Table1Plan, kind: Any, seed: int, *, folder: Path, progress: Progress
) -> tuple[Measured, list[Scored]]:
    """One network: trained, its threshold set on the validation patients, measured on the test patients."""
    recipe = replace(plan.recipe, seed=seed, spec=replace(plan.recipe.spec, attention=kind))
    weights = finetune_detector(
        plan.train, [], start=None, recipe=recipe, folder=folder, progress=lambda f, m: progress(f * 0.7, m)
    )
    find = finder(weights, runtime=plan.runtime)
    held = score_images(find, plan.validation, progress=silent)
    threshold = threshold_at(froc(hits_of(held, rule=centre_rule)), rate=plan.rate, default=0.2)
    scored = score_images(find, plan.test, progress=lambda f, m: progress(0.7 + f * 0.3, m))
    return measure(scored, threshold=threshold), scored


def _means(found: Mapping[str, Sequence[tuple[int, Measured]]]) -> Table:
    columns = ["attention", "Pr", "TPR", "F1", "AP50", "AP50-95", "sensitivity at 1 FP"]
    rows = [
        [
            kind,
            *(
                _spread([getattr(each, name).value for _, each in runs])
                for name in ("precision", "sensitivity", "f1", "ap50", "ap50_95")
            ),
            _spread([each.froc_centre[1.0].value for _, each in runs]),
        ]
        for kind, runs in found.items()
    ]
    note = "Mean over the seeds (lowest-highest). Overlapping ranges rank nothing."
    return Table(title="By attention", columns=columns, rows=rows, note=note)


def _runs(found: Mapping[str, Sequence[tuple[int, Measured]]]) -> Table:
    columns = [
        "attention",
        "seed",
        "threshold",
        "TPR",
        "FP per image",
        "AP50",
        "AP50-95",
        "sensitivity at 1 FP",
    ]
    rows = [
        [
            kind,
            str(seed),
            f"{each.threshold:g}",
            str(each.sensitivity),
            str(each.false_positives),
            str(each.ap50),
            str(each.ap50_95),
            str(each.froc_centre[1.0]),
        ]
        for kind, runs in found.items()
        for seed, each in runs
    ]
    return Table(title="Every run, with 95 % CI over the test patients", columns=columns, rows=rows)


def _spread(values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    return f"{mean(known):.3f} ({min(known):.3f}-{max(known):.3f})" if known else "-"
