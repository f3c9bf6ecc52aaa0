"""The paper's tables of the segmenter, run again: feature sources (Table 3) and encoders (Table 4).

Every row starts from the same SAM and learns what it adds to it, on the same patients, views, prompts and steps; the
rows differ in their switches alone. Each is trained with several seeds and measured on the same test clusters, so that
differences between rows are paired.
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
from training.cases import Progress
from training.evaluation.clusters import ClusterScore, measure_rois
from training.evaluation.detector_report import Report, Table
from training.metrics.masks import BAND_MM, Rates, mean_interval, rate_intervals
from training.segmenter.finetune import train_network
from training.segmenter.growth import grown
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import TrainingRoi

PAPER_TABLE3: Mapping[str, tuple[float, float]] = {
    "HQ-SAM": (79.63, 71.56),
    "M1": (77.12, 69.34),
    "M2": (77.84, 70.86),
    "M3": (78.82, 71.23),
    "M4": (79.64, 71.13),
    "MLSAM": (81.12, 71.89),
}
"""mIoU and mBIoU in per cent, on the authors' private data."""

PAPER_TABLE4: Mapping[tuple[str, str], tuple[float, float, float, float]] = {
    ("HQ-SAM", "vit_b"): (68.35, 23.86, 73.56, 58.62),
    ("HQ-SAM", "vit_l"): (70.52, 20.67, 74.34, 68.51),
    ("HQ-SAM", "vit_h"): (73.23, 18.62, 75.12, 74.35),
    ("MLSAM", "vit_b"): (71.34, 24.31, 73.42, 60.21),
    ("MLSAM", "vit_l"): (73.62, 23.53, 74.35, 70.54),
    ("MLSAM", "vit_h"): (76.34, 21.35, 77.58, 76.34),
}
"""TPR, FPR, ACC and Dice in per cent."""

SWITCHES = ("hq_token", "decoder_feature", "early", "middle", "final", "global_fusion")
"""What the rows of Table 3 turn on and off."""


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """What all rows share."""

    recipe: SegmenterRecipe
    seeds: Sequence[int]
    train: Sequence[TrainingRoi]
    test: Sequence[TrainingRoi]


def row_config(start: MlsamConfig, row: str) -> MlsamConfig:
    """The configuration of a row of Table 3 on the encoder of `start`; the mask is the HQ token's alone."""
    switches = {name: getattr(TABLE3[row], name) for name in SWITCHES}
    return replace(start, **switches, combine="hq", presence=False)


def run_row(
    start: Mlsam, row: str, seed: int, plan: RowPlan, *, folder: Path, features: Path, progress: Progress
) -> list[ClusterScore]:
    """Train and measure one row with one seed; what is finished is not done again."""
    recipe = replace(plan.recipe, seed=seed)
    result = folder / "scores.json"
    network = grown(start, row_config(start.config, row), seed=seed)
    weights = train_network(
        network,
        plan.train,
        [],
        recipe=recipe,
        folder=folder,
        start_competes=False,
        features=features,
        facts={"row": row},
        progress=progress,
    )
    trained, facts = load_segmenter(weights)
    judged = [facts["run"], [[roi.image, roi.box.as_tuple()] for roi in plan.test]]
    if result.is_file():
        known = json.loads(result.read_bytes())
        if known["of"] == json.loads(json.dumps(judged)):
            return [ClusterScore(**{**each, "pixels": Rates(**each["pixels"])}) for each in known["scores"]]
    scores = measure_rois(Segmenter(trained), plan.test)
    result.write_text(json.dumps({"of": judged, "scores": [asdict(score) for score in scores]}))
    return scores


def table_3(
    start: Path, plan: RowPlan, *, folder: Path, facts: Mapping[str, Any], progress: Progress
) -> Report:
    """All six rows with every seed, and each row's difference to HQ-SAM. A stopped table goes on.

    Args:
        start: weights of a SAM on any encoder; its decoder too is taken over and stays as it is.
        folder: gets a run folder for every network, and the kept features that they share.
    """
    network, _ = load_segmenter(start)
    runs = [(seed, row) for seed in plan.seeds for row in TABLE3]
    found: dict[str, list[list[ClusterScore]]] = {row: [] for row in TABLE3}
    for done, (seed, row) in enumerate(runs):
        tell = _share(progress, done, len(runs), f"{row}, seed {seed}")
        features = folder / f"features-{seed}"
        scores = run_row(
            network, row, seed, plan, folder=folder / f"{row}-{seed}", features=features, progress=tell
        )
        found[row].append(scores)
    rows = [_table3_row(row, found) for row in TABLE3]
    columns = ["row", "paper mIoU", "paper mBIoU", "ours mIoU", "ours mBIoU", "ours Dice"]
    columns += ["mIoU by seed", "mIoU minus HQ-SAM"]
    return Report(
        title="Table 3: feature sources",
        facts={**facts, **_common_facts(network, plan, found["HQ-SAM"][0])},
        tables=[Table(title="By row, per cent, with 95 % CI", columns=columns, rows=rows, note=_NOTE)],
        figures=_figures(found, plan.seeds),
    )


def table_4(
    starts: Mapping[str, Path], plan: RowPlan, *, folder: Path, facts: Mapping[str, Any], progress: Progress
) -> Report:
    """HQ-SAM and MLSAM on every encoder given.

    Args:
        starts: name of the encoder, as the paper's `vit_b`, to weights of a SAM on it.
    """
    runs = [(row, name, seed) for row in ("HQ-SAM", "MLSAM") for name in starts for seed in plan.seeds]
    found: dict[tuple[str, str], list[list[ClusterScore]]] = {}
    for done, (row, name, seed) in enumerate(runs):
        network, _ = load_segmenter(starts[name])
        scores = run_row(
            network,
            row,
            seed,
            plan,
            folder=folder / f"{name}-{row}-{seed}",
            features=folder / f"features-{name}-{seed}",
            progress=_share(progress, done, len(runs), f"{row} on {name}, seed {seed}"),
        )
        found.setdefault((row, name), []).append(scores)
    columns = ["row", "encoder", "paper TPR / FPR / ACC / Dice"]
    columns += ["ours TPR (pixels)", "ours FPR (pixels)", "ours ACC (pixels)", "ours Dice"]
    rows = [_table4_row(key, scores) for key, scores in found.items()]
    first = load_segmenter(next(iter(starts.values())))[0]
    return Report(
        title="Table 4: encoders",
        facts={**facts, **_common_facts(first, plan, next(iter(found.values()))[0])},
        tables=[Table(title="By encoder, per cent, with 95 % CI", columns=columns, rows=rows, note=_NOTE)],
        figures=_figures({f"{row} {name}": scores for (row, name), scores in found.items()}, plan.seeds),
    )


_NOTE = (
    "Paper: private hospital data, one run, no interval. Ours: means over seeds; intervals draw patients, and do not "
    "hold the spread between seeds. Rates count the pixels of the region around each cluster."
)


def _table3_row(row: str, found: Mapping[str, Sequence[Sequence[ClusterScore]]]) -> list[str]:
    patients = [score.patient for score in found[row][0]]

    def over(name: str, of: str = row) -> list[float]:
        return [100 * mean(getattr(score, name) for score in each) for each in zip(*found[of], strict=True)]

    figures = [mean_interval(over(name), patients) for name in ("iou", "boundary_iou", "dice")]
    apart = [a - b for a, b in zip(over("iou"), over("iou", "HQ-SAM"), strict=True)]
    by_seed = ", ".join(f"{100 * mean(score.iou for score in scores):.1f}" for scores in found[row])
    difference = "" if row == "HQ-SAM" else percent(mean_interval(apart, patients))
    return [row, *map(str, PAPER_TABLE3[row]), *map(percent, figures), by_seed, difference]


def _table4_row(key: tuple[str, str], scores: Sequence[Sequence[ClusterScore]]) -> list[str]:
    flat = [score for each in scores for score in each]
    patients = [score.patient for score in flat]
    rates = rate_intervals([score.pixels for score in flat], patients)
    dice = mean_interval([score.dice for score in flat], patients)
    paper = " / ".join(map(str, PAPER_TABLE4[key])) if key in PAPER_TABLE4 else "-"
    ours = [*(rates[name] for name in ("tpr", "fpr", "acc")), dice]
    return [*key, paper, *(percent(each, factor=100) for each in ours)]


def percent(figure: Any, *, factor: float = 1) -> str:
    """`81.1 (79.0-83.2)`."""
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


def _figures(found: Mapping[str, Sequence[Sequence[ClusterScore]]], seeds: Sequence[int]) -> dict[str, Any]:
    return {
        row: {
            str(seed): [asdict(score) for score in scores] for seed, scores in zip(seeds, each, strict=True)
        }
        for row, each in found.items()
    }


def _share(progress: Progress, done: int, total: int, name: str) -> Progress:
    return lambda fraction, message: progress((done + min(fraction, 1.0)) / total, f"{name}: {message}")
