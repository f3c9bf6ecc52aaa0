"""The paper's tables of the detector, repeated on other data: attention modules (Table 1) and thresholds (Table 2)."""

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
from training.cases import Case, Progress, portion, silent
from training.detector.finetune import finetune_detector
from training.detector.recipes import DetectorRecipe
from training.evaluation.detector import (
    DetectorFigures,
    ScoredImage,
    hits_of,
    low_threshold_detector,
    measure,
    score_images,
)
from training.evaluation.detector_report import data_counts, interval_description
from training.evaluation.operating_point import threshold_at
from training.evaluation.report import Report, Table
from training.metrics import Counts, Interval, box_dice, centre_rule, froc, interval
from training.metrics.ratio import ratio

ATTENTIONS = ("none", "cbam", "se", "eca")
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the paper's Table 2."""


def table_2(
    scored: Sequence[ScoredImage], *, facts: Mapping[str, Any], draws: int = 1000, seed: int = 0
) -> Report:
    """TPR, FPR, ACC, precision and Dice of the same detections at the paper's thresholds."""
    rows, figures = [], {}
    for threshold in THRESHOLDS:
        intervals = _figures_at(scored, threshold, draws=draws, seed=seed)
        rows.append([f"{threshold:g}", *(str(each) for each in intervals.values())])
        figures[f"{threshold:g}"] = {name: asdict(each) for name, each in intervals.items()}
    note = (
        "TPR and precision count clusters and boxes (hit rule: the detection's centre lies in the cluster's box). FPR "
        "and ACC count images (predicted positive: any box). Dice is that of boxes, 0 for a missed cluster."
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
        facts={**facts, **data_counts(scored), "intervals": interval_description(draws, seed)},
        tables=[Table(title="By threshold, with 95 % CI", columns=columns, rows=rows, note=note)],
        figures=figures,
        curves={"detector": scored},
    )


def _figures_at(
    scored: Sequence[ScoredImage], threshold: float, *, draws: int, seed: int
) -> dict[str, Interval]:
    counts = Counts.of(hits_of(scored, rule=centre_rule), threshold)
    dice = [
        box_dice([each.box for each in image.detections if each.score >= threshold], image.truth)
        for image in scored
    ]
    sums, numbers = np.array([sum(each) for each in dice]), np.array([len(each) for each in dice], np.float64)
    over = partial(interval, owners=[image.patient for image in scored], draws=draws, seed=seed)
    return {
        "tpr": over(lambda weights: counts.figures(weights).sensitivity),
        "fpr": over(lambda weights: counts.figures(weights).image_fpr),
        "acc": over(lambda weights: counts.figures(weights).image_accuracy),
        "precision": over(lambda weights: counts.figures(weights).precision),
        "dice": over(lambda weights: ratio(float(weights @ sums), float(weights @ numbers))),
        "false_positives": over(lambda weights: counts.figures(weights).false_positives),
    }


@dataclass(frozen=True, kw_only=True)
class Table1Plan:
    """Patients, schedule and seeds of Table 1, shared by all attention modules."""

    recipe: DetectorRecipe
    seeds: Sequence[int]
    train: Sequence[Case]
    validation: Sequence[Case]
    """For the threshold of each network; not trained on."""

    test: Sequence[Case]
    rate: float = 0.5
    """False positives per validation image at which each network's threshold is set."""

    runtime: RuntimeName = "auto"
    """Runtime that evaluates the networks."""


Results = Mapping[str, Sequence[tuple[int, DetectorFigures]]]
"""Seed and figures of every network, by attention module."""


def table_1(plan: Table1Plan, *, folder: Path, facts: Mapping[str, Any], progress: Progress) -> Report:
    """Train every attention module with every seed from scratch and evaluate it.

    A repeated call resumes after the last finished network.

    Args:
        folder: receives a run folder for every network.
    """
    runs = [(attention, seed) for attention in ATTENTIONS for seed in plan.seeds]
    results: dict[str, list[tuple[int, DetectorFigures]]] = {attention: [] for attention in ATTENTIONS}
    curves: dict[str, Sequence[ScoredImage]] = {}
    for done, (attention, seed) in enumerate(runs):
        figures, scored = _train_and_measure(
            plan,
            attention,
            seed,
            folder=folder / f"{attention}-{seed}",
            progress=portion(
                progress, done / len(runs), (done + 1) / len(runs), prefix=f"{attention}, seed {seed}: "
            ),
        )
        results[attention].append((seed, figures))
        curves.setdefault(attention, scored)
    return Report(
        title="Table 1: attention",
        facts={
            **facts,
            **data_counts(next(iter(curves.values()))),
            "recipe": f"{plan.recipe.name}: {plan.recipe.epochs} epochs, tiles of {plan.recipe.tile} pixels",
            "training seeds": ", ".join(map(str, plan.seeds)),
            "threshold": f"of each network: {plan.rate:g} false positives per image on the validation patients",
            "intervals": interval_description(1000, 0),
        },
        tables=[_table_of_means(results), _table_of_runs(results)],
        figures={
            attention: {str(seed): asdict(figures) for seed, figures in runs}
            for attention, runs in results.items()
        },
        curves={f"{attention}, seed {plan.seeds[0]}": scored for attention, scored in curves.items()},
    )


def _train_and_measure(
    plan: Table1Plan, attention: Any, seed: int, *, folder: Path, progress: Progress
) -> tuple[DetectorFigures, list[ScoredImage]]:
    """Train one network, set its threshold on the validation patients, and evaluate it on the test patients."""
    recipe = replace(plan.recipe, seed=seed, spec=replace(plan.recipe.spec, attention=attention))
    weights = finetune_detector(
        plan.train, [], start=None, recipe=recipe, folder=folder, progress=portion(progress, 0.0, 0.7)
    )
    detect = low_threshold_detector(weights, runtime=plan.runtime)
    validation = score_images(detect, plan.validation, progress=silent)
    threshold = threshold_at(froc(hits_of(validation, rule=centre_rule)), rate=plan.rate, default=0.2)
    scored = score_images(detect, plan.test, progress=portion(progress, 0.7, 1.0))
    return measure(scored, threshold=threshold), scored


def _table_of_means(results: Results) -> Table:
    columns = ["attention", "Pr", "TPR", "F1", "AP50", "AP50-95", "sensitivity at 1 FP"]
    rows = [
        [
            attention,
            *(
                _mean_and_range([getattr(each, name).value for _, each in runs])
                for name in ("precision", "sensitivity", "f1", "ap50", "ap50_95")
            ),
            _mean_and_range([each.froc_centre[1.0].value for _, each in runs]),
        ]
        for attention, runs in results.items()
    ]
    note = "Mean over the seeds (lowest-highest). Modules with overlapping ranges are not ranked."
    return Table(title="By attention", columns=columns, rows=rows, note=note)


def _table_of_runs(results: Results) -> Table:
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
            attention,
            str(seed),
            f"{each.threshold:g}",
            str(each.sensitivity),
            str(each.false_positives),
            str(each.ap50),
            str(each.ap50_95),
            str(each.froc_centre[1.0]),
        ]
        for attention, runs in results.items()
        for seed, each in runs
    ]
    return Table(title="Every run, with 95 % CI over the test patients", columns=columns, rows=rows)


def _mean_and_range(values: Sequence[float]) -> str:
    defined = [value for value in values if not math.isnan(value)]
    return f"{mean(defined):.3f} ({min(defined):.3f}-{max(defined):.3f})" if defined else "-"
