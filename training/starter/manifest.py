"""The manifest of the starter weights: both files, their operating point, and their evaluation together."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mammo.blobs import hash_file
from mammo.detector import load_network
from mammo.models import ModelFiles
from mammo.models.self_test import MIN_SCORE, record
from mammo.pipeline import Prelabeller
from training.cases import Case, Progress
from training.evaluation.model_version import Evaluation, evaluate
from training.evaluation.presence_point import presence_point
from training.metrics import Interval, interval, sensitivity_at
from training.metrics.bootstrap import Floats
from training.metrics.ratio import ratio

Network = Literal["detector", "segmenter"]
NETWORKS: tuple[Network, ...] = ("detector", "segmenter")

PROMPT_RULE, PROMPT_COUNT = "robust", 3


def write_manifest(
    out: Path,
    *,
    validation: list[Case],
    test: list[Case],
    trained_on: Mapping[Network, str],
    evaluated_on: str,
    progress: Progress,
) -> None:
    """Describe the two weight files of a folder in its `manifest.json`.

    Args:
        validation: the detector's validation patients; its detections there set the presence point.
        test: the segmenter's test patients, on whom both networks are evaluated together. The figures of the detector
            alone are copied from its file.
        trained_on: description of each network's training patients.
        evaluated_on: description of `test`.
    """
    files = {network: out / f"{network}.safetensors" for network in NETWORKS}
    hashes = {network: hash_file(path) for network, path in files.items()}
    joint_hash = hashlib.sha256("".join(sorted(hashes.values())).encode()).hexdigest()
    facts = load_network(files["detector"])[1]
    operating_point = facts.get("operating_point", {"threshold": 0.2})
    model = ModelFiles(
        version=f"starter-{joint_hash[:8]}",
        detector=files["detector"],
        segmenter=files["segmenter"],
        threshold=operating_point["threshold"],
        prompt_rule=PROMPT_RULE,
        prompt_count=PROMPT_COUNT,
    )
    presence = presence_point(Prelabeller.load(model), validation, progress=progress)
    prelabeller = Prelabeller.load(replace(model, presence_threshold=presence.threshold))
    evaluation = evaluate(prelabeller, test, progress=progress)
    manifest = {
        "version": model.version,
        "threshold": model.threshold,
        "prompt_rule": model.prompt_rule,
        "prompt_count": model.prompt_count,
        "weights": {
            network: {"sha256": hashes[network], "bytes": path.stat().st_size}
            for network, path in files.items()
        },
        "self_test": record(partial(prelabeller.prelabel, threshold=MIN_SCORE)),
        "recipe": "starter",
        "parent": None,
        "trained_on": dict(trained_on),
        "operating_point": operating_point,
        "presence_threshold": presence.threshold,
        "presence_point": asdict(presence),
        "evaluation": {
            "data": f"{evaluated_on}: phantom results",
            **evaluation_figures(evaluation),
            "detector": facts.get("held_out"),
        },
        "licence": "AGPL-3.0-or-later",
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def evaluation_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Figures of an evaluation for the manifest; `sensitivity` by false positives per image."""
    curve = evaluation.froc
    return {
        "patients": len(evaluation.patients),
        "images": len(evaluation.images),
        "clusters": evaluation.num_lesions,
        "sensitivity": {f"{rate:g}": round(sensitivity_at(curve, rate), 3) for rate in (0.25, 0.5, 1.0, 2.0)},
        "dice_all_clusters": rounded(mean_dice(evaluation)),
        "dice_matched_clusters": rounded(mean_dice(evaluation, matched_only=True)),
    }


def mean_dice(evaluation: Evaluation, *, matched_only: bool = False) -> Interval:
    """Mean Dice over the true clusters, with its interval over patients.

    Args:
        matched_only: drop the clusters that no mask overlaps instead of counting them as 0.
    """
    values = [[dice for dice in image.dice if dice > 0 or not matched_only] for image in evaluation.images]
    sums, counts = np.array([sum(each) for each in values]), np.array([len(each) for each in values])

    def mean(weights: Floats) -> float:
        return ratio(float(weights @ sums), float(weights @ counts))

    return interval(mean, [image.patient for image in evaluation.images])


def rounded(figure: Interval) -> dict[str, float | None]:
    """An interval as JSON, with three decimals; NaN becomes null."""
    parts = {name: getattr(figure, name) for name in ("value", "low", "high")}
    return {name: None if math.isnan(part) else round(part, 3) for name, part in parts.items()}
