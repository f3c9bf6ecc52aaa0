"""The paper's tables of the segmenter, repeated on other data: feature sources (Table 3) and encoders (Table 4).

Every row starts from the same SAM and trains only what it adds to it, on the same patients, views, prompts and steps;
the rows differ only in their switches. Each row is trained with several seeds and evaluated on the same test clusters,
so the differences between rows are paired.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from mammo.segmenter import Segmenter
from mammo.segmenter.config import TABLE3, MlsamConfig
from mammo.segmenter.network import Mlsam
from mammo.segmenter.weights import load_segmenter
from training.cases import Progress, portion
from training.evaluation.clusters import ClusterScore, measure_rois
from training.evaluation.report import Report, Table
from training.metrics import Interval
from training.metrics.masks import BAND_MM, Rates, mean_interval, rate_intervals
from training.segmenter.finetune import train_network
from training.segmenter.growth import grown
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import TrainingRegions, TrainingRoi

PAPER_TABLE3: Mapping[str, tuple[float, float]] = {
    "HQ-SAM": (79.63, 71.56),
    "M1": (77.12, 69.34),
    "M2": (77.84, 70.86),
    "M3": (78.82, 71.23),
    "M4": (79.64, 71.13),
    "MLSAM": (81.12, 71.89),
}
"""By row: mIoU and mBIoU in per cent, on the authors' private data."""

PAPER_TABLE4: Mapping[tuple[str, str], tuple[float, float, float, float]] = {
    ("HQ-SAM", "vit_b"): (68.35, 23.86, 73.56, 58.62),
    ("HQ-SAM", "vit_l"): (70.52, 20.67, 74.34, 68.51),
    ("HQ-SAM", "vit_h"): (73.23, 18.62, 75.12, 74.35),
    ("MLSAM", "vit_b"): (71.34, 24.31, 73.42, 60.21),
    ("MLSAM", "vit_l"): (73.62, 23.53, 74.35, 70.54),
    ("MLSAM", "vit_h"): (76.34, 21.35, 77.58, 76.34),
}
"""By row and encoder: TPR, FPR, ACC and Dice in per cent."""

SWITCHES = ("hq_token", "decoder_feature", "early", "middle", "final", "global_fusion")
"""Fields of `MlsamConfig` in which the rows of Table 3 differ."""


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """Regions, schedule and seeds that all rows share."""

    recipe: SegmenterRecipe
    seeds: Sequence[int]
    train: Sequence[TrainingRoi]
    test: Sequence[TrainingRoi]


def row_config(start: MlsamConfig, row: str) -> MlsamConfig:
    """The configuration of a row of Table 3 on the encoder of `start`; the mask is that of the HQ token alone."""
    switches = {name: getattr(TABLE3[row], name) for name in SWITCHES}
    return replace(start, **switches, combine="hq", presence=False)


def run_row(
    start: Mlsam, row: str, seed: int, plan: RowPlan, *, folder: Path, features: Path, progress: Progress
) -> list[ClusterScore]:
    """Train and evaluate one row with one seed; finished weights and scores are reused.

    Args:
        features: folder of the encoder features, shared by all rows of a seed.
    """
    recipe = replace(plan.recipe, seed=seed)
    result = folder / "scores.json"
    network = grown(start, row_config(start.config, row), seed=seed)
    weights = train_network(
        network,
        TrainingRegions(plan.train),
        recipe=recipe,
        folder=folder,
        start_competes=False,
        features=features,
        facts={"row": row},
        progress=progress,
    )
    trained, facts = load_segmenter(weights)
    key = [facts["run"], [[roi.image, roi.box.as_tuple()] for roi in plan.test]]
    if result.is_file():
        stored = json.loads(result.read_bytes())
        if stored["of"] == json.loads(json.dumps(key)):
            return [ClusterScore(**{**each, "pixels": Rates(**each["pixels"])}) for each in stored["scores"]]
    scores = measure_rois(Segmenter(trained), plan.test)
    result.write_text(json.dumps({"of": key, "scores": [asdict(score) for score in scores]}))
    return scores


def table_3(
    start: Path, plan: RowPlan, *, folder: Path, facts: Mapping[str, Any], progress: Progress
) -> Report:
    """Train and evaluate all six rows with every seed, and compare each row with HQ-SAM.

    A repeated call resumes after the last finished network.

    Args:
        start: weights of a SAM on any encoder; its encoder and decoder are not changed.
        folder: receives a run folder for every network, and the encoder features that they share.
    """
    network, _ = load_segmenter(start)
    runs = [(seed, row) for seed in plan.seeds for row in TABLE3]
    results: dict[str, list[list[ClusterScore]]] = {row: [] for row in TABLE3}
    for done, (seed, row) in enumerate(runs):
        scores = run_row(
            network,
            row,
            seed,
            plan,
            folder=folder / f"{row}-{seed}",
            features=folder / f"features-{seed}",
            progress=portion(
                progress, done / len(runs), (done + 1) / len(runs), prefix=f"{row}, seed {seed}: "
            ),
        )
        results[row].append(scores)
    rows = [_table3_row(row, results) for row in TABLE3]
    columns = ["row", "paper mIoU", "paper mBIoU", "ours mIoU", "ours mBIoU", "ours Dice"]
    columns += ["mIoU by seed", "mIoU minus HQ-SAM"]
    return Report(
        title="Table 3: feature sources",
        facts={**facts, **_common_facts(network, plan, results["HQ-SAM"][0])},
        tables=[Table(title="By row, per cent, with 95 % CI", columns=columns, rows=rows, note=_NOTE)],
        figures=_figures(results, plan.seeds),
    )


def table_4(
    starts: Mapping[str, Path], plan: RowPlan, *, folder: Path, facts: Mapping[str, Any], progress: Progress
) -> Report:
    """Train and evaluate HQ-SAM and MLSAM on every encoder given, with every seed.

    Args:
        starts: name of an encoder, such as the paper's `vit_b`, to weights of a SAM on it.
    """
    runs = [(row, name, seed) for row in ("HQ-SAM", "MLSAM") for name in starts for seed in plan.seeds]
    results: dict[tuple[str, str], list[list[ClusterScore]]] = {}
    for done, (row, name, seed) in enumerate(runs):
        network, _ = load_segmenter(starts[name])
        scores = run_row(
            network,
            row,
            seed,
            plan,
            folder=folder / f"{name}-{row}-{seed}",
            features=folder / f"features-{name}-{seed}",
            progress=portion(
                progress, done / len(runs), (done + 1) / len(runs), prefix=f"{row} on {name}, seed {seed}: "
            ),
        )
        results.setdefault((row, name), []).append(scores)
    columns = ["row", "encoder", "paper TPR / FPR / ACC / Dice"]
    columns += ["ours TPR (pixels)", "ours FPR (pixels)", "ours ACC (pixels)", "ours Dice"]
    rows = [_table4_row(key, scores) for key, scores in results.items()]
    first = load_segmenter(next(iter(starts.values())))[0]
    return Report(
        title="Table 4: encoders",
        facts={**facts, **_common_facts(first, plan, next(iter(results.values()))[0])},
        tables=[Table(title="By encoder, per cent, with 95 % CI", columns=columns, rows=rows, note=_NOTE)],
        figures=_figures({f"{row} {name}": scores for (row, name), scores in results.items()}, plan.seeds),
    )


_NOTE = (
    "Paper: private hospital data, one run, no interval. Ours: means over seeds. Intervals draw patients and do not "
    "include the spread between seeds. Rates count the pixels of the region around each cluster."
)


def _table3_row(row: str, results: Mapping[str, Sequence[Sequence[ClusterScore]]]) -> list[str]:
    patients = [score.patient for score in results[row][0]]

    def seed_means(name: str, of: str = row) -> list[float]:
        """Of every cluster, in per cent."""
        return [100 * mean(getattr(score, name) for score in each) for each in zip(*results[of], strict=True)]

    figures = [mean_interval(seed_means(name), patients) for name in ("iou", "boundary_iou", "dice")]
    gains = [a - b for a, b in zip(seed_means("iou"), seed_means("iou", "HQ-SAM"), strict=True)]
    by_seed = ", ".join(f"{100 * mean(score.iou for score in scores):.1f}" for scores in results[row])
    difference = "" if row == "HQ-SAM" else percent(mean_interval(gains, patients))
    return [row, *map(str, PAPER_TABLE3[row]), *map(percent, figures), by_seed, difference]


def _table4_row(key: tuple[str, str], scores: Sequence[Sequence[ClusterScore]]) -> list[str]:
    flat = [score for each in scores for score in each]
    patients = [score.patient for score in flat]
    rates = rate_intervals([score.pixels for score in flat], patients)
    dice = mean_interval([score.dice for score in flat], patients)
    paper = " / ".join(map(str, PAPER_TABLE4[key])) if key in PAPER_TABLE4 else "-"
    ours = [*(rates[name] for name in ("tpr", "fpr", "acc")), dice]
    return [*key, paper, *(percent(each, factor=100) for each in ours)]


def percent(figure: Interval, *, factor: float = 1) -> str:
    """Format an interval as `81.1 (79.0 to 83.2)`.

    Args:
        factor: 100 for a figure in [0, 1].
    """
    if math.isnan(figure.value):
        return "-"
    return f"{factor * figure.value:.1f} ({factor * figure.low:.1f} to {factor * figure.high:.1f})"


def _common_facts(start: Mlsam, plan: RowPlan, scores: Sequence[ClusterScore]) -> dict[str, Any]:
    return {
        "encoder": f"{start.config.encoder} at {start.config.input_size} pixels, frozen",
        "recipe": f"{plan.recipe.name}: policy {plan.recipe.policy}, {plan.recipe.steps} steps",
        "seeds": ", ".join(map(str, plan.seeds)),
        "train": f"{len({roi.patient for roi in plan.train})} patients, {len(plan.train)} regions",
        "test": f"{len({score.patient for score in scores})} patients, {len(scores)} clusters",
        "prompt": "true box, each edge off by up to 10 %, and three bright points",
        "boundary band": f"{BAND_MM} mm",
    }


def _figures(results: Mapping[str, Sequence[Sequence[ClusterScore]]], seeds: Sequence[int]) -> dict[str, Any]:
    return {
        row: {
            str(seed): [asdict(score) for score in scores] for seed, scores in zip(seeds, each, strict=True)
        }
        for row, each in results.items()
    }
