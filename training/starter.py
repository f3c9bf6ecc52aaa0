"""`yolo-mlsam train-starter`: the committed recipe of the starter weights, from phantoms to manifest.

The two networks are trained apart, in any order and on any day; each says in its facts what it was trained and judged
on. The manifest names both files and is written anew from what lies in the folder. A command that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mammo.phantom import vendor_a
from training.cases import Case, Progress
from training.metrics import Interval, interval, sensitivity_at
from training.metrics.bootstrap import Floats
from training.phantom_cases import (
    PHANTOM_SECRET,
    POSITIVE,
    read_phantom_traits,
    training_facts,
    write_phantom_patients,
)

if TYPE_CHECKING:
    from training.evaluation.model_version import Evaluation

Half = Literal["detector", "segmenter"]
HALVES: tuple[Half, ...] = ("detector", "segmenter")


@dataclass(frozen=True)
class Seeds:
    """Phantom patients of one network. The sets never meet, nor do they meet the demo's, the replay's or the tests'."""

    train: range
    validation: range
    """Sets the operating point, or chooses among checkpoints."""

    test: range
    """Judges; looked at once, when the weights are final."""


SEEDS: dict[Half, Seeds] = {
    "detector": Seeds(range(1000, 1080), range(2000, 2020), range(7000, 7040)),
    "segmenter": Seeds(range(1000, 1060), range(2000, 2006), range(7000, 7040)),
}

OPERATING_RATE = 0.5
"""False positives per validation image at which the detector's threshold is set."""

PROMPT_RULE, PROMPT_COUNT = "robust", 3


def train_starter(
    *, out: Path, work: Path, smoke: bool, only: Half | None = None, progress: Progress
) -> None:
    """Write phantoms, train from scratch, judge on phantoms kept apart, write the manifest.

    Args:
        out: gets `detector.safetensors`, `segmenter.safetensors` and `manifest.json`.
        work: gets phantoms and runs; phantoms already there are used again, and runs go on.
        smoke: two patients a set and seconds of training, to try the command.
        only: leave the other network's file as it is; without one in `out` there is no manifest.
    """
    out.mkdir(parents=True, exist_ok=True)
    if only != "segmenter":
        _train_detector(out, work, smoke, progress)
    if only != "detector":
        _train_segmenter(out, work, smoke, progress)
    if all((out / f"{half}.safetensors").is_file() for half in HALVES):
        validation = _cases("detector", "validation", work, smoke, progress)
        test = _cases("segmenter", "test", work, smoke, progress)
        write_manifest(out, validation=validation, test=test, progress=progress)


def _train_detector(out: Path, work: Path, smoke: bool, progress: Progress) -> None:
    from training.detector.finetune import finetune_detector
    from training.detector.recipes import detector_smoke, detector_starter

    train, validation, test = (
        _cases("detector", fold, work, smoke, progress) for fold in ("train", "validation", "test")
    )
    trained = finetune_detector(
        train,
        validation,
        start=None,
        recipe=detector_smoke() if smoke else detector_starter(),
        folder=work / "detector",
        progress=progress,
    )
    shutil.copyfile(trained, out / "detector.safetensors")
    judge_detector(out / "detector.safetensors", validation, test, work=work, progress=progress)


def judge_detector(
    weights: Path, validation: list[Case], test: list[Case], *, work: Path, progress: Progress
) -> None:
    """Set the operating point on the validation patients, judge on the test patients, write both into the facts.

    Args:
        work: holds the test patients' truth in `test`; gets the report in `report`.
    """
    from mammo.detector import add_facts
    from training.evaluation.detector import finder, hits_of, measure, score_images
    from training.evaluation.detector_report import detector_report
    from training.evaluation.operating_point import threshold_at
    from training.metrics import centre_rule, froc

    seeds = SEEDS["detector"]
    find = finder(weights)
    held = score_images(find, validation, progress=progress)
    threshold = threshold_at(froc(hits_of(held, rule=centre_rule)), rate=OPERATING_RATE, default=0.2)
    scored = score_images(find, test, traits=read_phantom_traits(work / "test"), progress=progress)
    found = measure(scored, threshold=threshold)
    report = detector_report(scored, found, facts={"data": _phantoms(seeds.test)})
    report.write(work / "report", name="detector")
    add_facts(
        weights,
        {
            **training_facts(vendor_a().name, seeds.train),
            "operating_point": {
                "threshold": threshold,
                "false_positives_per_image": OPERATING_RATE,
                "seeds": [seeds.validation.start, seeds.validation.stop],
            },
            "held_out": {
                "appearance": vendor_a().name,
                "seeds": list(seeds.test),
                "rule": "centre of the box inside the true box",
                "patients": found.num_patients,
                "images": found.num_images,
                "clusters": found.num_lesions,
                "at_the_operating_point": {
                    "sensitivity": _rounded(found.sensitivity),
                    "false_positives_per_image": _rounded(found.false_positives),
                },
                "sensitivity_at_false_positives_per_image": {
                    f"{rate:g}": round(each.value, 3) for rate, each in found.froc_centre.items()
                },
            },
        },
    )


def _train_segmenter(out: Path, work: Path, smoke: bool, progress: Progress) -> None:
    from mammo.segmenter.weights import add_facts
    from training.segmenter.finetune import finetune_segmenter
    from training.segmenter.recipes import segmenter_smoke, segmenter_starter
    from training.segmenter.validation import record_held_out

    train, validation, test = (
        _cases("segmenter", fold, work, smoke, progress) for fold in ("train", "validation", "test")
    )
    trained = finetune_segmenter(
        train,
        validation,
        start=None,
        recipe=segmenter_smoke() if smoke else segmenter_starter(),
        folder=work / "segmenter",
        detector=detector if (detector := out / "detector.safetensors").is_file() else None,
        progress=progress,
    )
    weights = out / "segmenter.safetensors"
    shutil.copyfile(trained, weights)
    add_facts(weights, training_facts(vendor_a().name, SEEDS["segmenter"].train))
    data = _phantoms(SEEDS["segmenter"].test)
    record_held_out(weights, test, data=data, folder=work / "segmenter-held-out")


def write_manifest(out: Path, *, validation: list[Case], test: list[Case], progress: Progress) -> None:
    """Describe the two weight files in `out` in `manifest.json`, judged together on `test`.

    Args:
        validation: the detector's validation patients; the presence point is chosen on what it finds there.
        test: the segmenter's test patients; the detector's own figures are in its facts, and copied from there.
    """
    from mammo.blobs import hash_file
    from mammo.detector import load_network
    from mammo.models import ModelFiles
    from mammo.models.self_test import MIN_SCORE, record
    from mammo.pipeline import Prelabeller
    from training.evaluation.model_version import evaluate
    from training.evaluation.presence_point import presence_point

    files = {name: out / f"{name}.safetensors" for name in HALVES}
    hashes = {name: hash_file(path) for name, path in files.items()}
    joint = hashlib.sha256("".join(sorted(hashes.values())).encode()).hexdigest()
    facts = load_network(files["detector"])[1]
    point = facts.get("operating_point", {"threshold": 0.2})
    version = f"starter-{joint[:8]}"
    described = ModelFiles(
        version=version,
        detector=files["detector"],
        segmenter=files["segmenter"],
        threshold=point["threshold"],
        prompt_rule=PROMPT_RULE,
        prompt_count=PROMPT_COUNT,
    )
    presence = presence_point(Prelabeller.load(described), validation, progress=progress)
    prelabeller = Prelabeller.load(replace(described, presence_threshold=presence.threshold))
    evaluation = evaluate(prelabeller, test, progress=progress)
    manifest = {
        "version": version,
        "threshold": point["threshold"],
        "prompt_rule": PROMPT_RULE,
        "prompt_count": PROMPT_COUNT,
        "weights": {
            name: {"sha256": hashes[name], "bytes": path.stat().st_size} for name, path in files.items()
        },
        "self_test": record(partial(prelabeller.prelabel, threshold=MIN_SCORE)),
        "recipe": "starter",
        "parent": None,
        "trained_on": {half: _phantoms(seeds.train) for half, seeds in SEEDS.items()},
        "operating_point": point,
        "presence_threshold": presence.threshold,
        "presence_point": asdict(presence),
        "evaluation": {
            "data": f"{_phantoms(SEEDS['segmenter'].test)}: phantom results",
            **_numbers(evaluation),
            "detector": facts.get("held_out"),
        },
        "licence": "AGPL-3.0-or-later",
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _phantoms(seeds: range) -> str:
    return f"phantoms of vendor_a, seeds {seeds.start} to {seeds.stop - 1}"


def _cases(
    half: Half, fold: Literal["train", "validation", "test"], work: Path, smoke: bool, progress: Progress
) -> list[Case]:
    seeds: range = getattr(SEEDS[half], fold)
    return write_phantom_patients(
        work / fold,
        seeds=seeds[:2] if smoke else seeds,
        appearance=vendor_a(),
        positive=1.0 if smoke else POSITIVE,
        patient_secret=PHANTOM_SECRET,
        progress=progress,
    )


def _rounded(figure: Any) -> dict[str, float | None]:
    """None where there was nothing to measure: JSON knows no NaN."""
    parts = {name: getattr(figure, name) for name in ("value", "low", "high")}
    return {name: None if math.isnan(part) else round(part, 3) for name, part in parts.items()}


def _numbers(evaluation: Evaluation) -> dict[str, Any]:
    """What the manifest says of an evaluation; sensitivities by false positives per image."""
    curve = evaluation.froc
    return {
        "patients": len(evaluation.patients),
        "images": len(evaluation.images),
        "clusters": evaluation.num_lesions,
        "sensitivity": {f"{rate:g}": round(sensitivity_at(curve, rate), 3) for rate in (0.25, 0.5, 1.0, 2.0)},
        "dice_all_clusters": _rounded(_dice(evaluation)),
        "dice_matched_clusters": _rounded(_dice(evaluation, matched=True)),
    }


def _dice(evaluation: Evaluation, *, matched: bool = False) -> Interval:
    """Mean Dice over the true clusters with its interval by patient; `matched`: without those that no mask met."""
    values = [[dice for dice in image.dice if dice > 0 or not matched] for image in evaluation.images]
    sums, counts = np.array([sum(each) for each in values]), np.array([len(each) for each in values])

    def mean(weights: Floats) -> float:
        return float(weights @ sums / total) if (total := weights @ counts) else math.nan

    return interval(mean, [image.patient for image in evaluation.images])
