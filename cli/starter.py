"""`yolo-mlsam train-starter`: the committed recipe of the starter weights, from phantoms to manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TextColumn, TimeElapsedColumn

from mammo.phantom import vendor_a
from training.cases import Case, Progress
from training.metrics import sensitivity_at
from training.phantom_cases import write_phantom_patients

if TYPE_CHECKING:
    from training.evaluate import Evaluation

TRAIN_SEEDS = range(1000, 1040)
VALIDATION_SEEDS = range(2000, 2006)
TEST_SEEDS = range(3000, 3010)
"""Phantom patients. The three sets never meet, nor do they meet the demo's or the tests'."""

POSITIVE = 0.85
SECRET = b"phantoms have no secrets"
"""Phantom patients are nobody; their keys only have to be the same each time."""


def train_starter(*, out: Path, work: Path, smoke: bool) -> None:
    """Write phantoms, train both networks from scratch, evaluate on held-out phantoms, write the manifest.

    Args:
        out: gets `detector.safetensors`, `segmenter.safetensors` and `manifest.json`.
        work: gets phantoms and checkpoints; phantoms already there are used again.
        smoke: two patients a set and seconds of training, to try the command.
    """
    from training.detector_finetune import finetune_detector
    from training.detector_recipes import detector_smoke, detector_starter
    from training.segmenter_finetune import finetune_segmenter
    from training.segmenter_recipes import segmenter_smoke, segmenter_starter
    from training.segmenter_validation import record_held_out

    console = Console()
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn("{task.fields[message]}"))
    with Bars(*columns, console=console) as bars:
        bar = bars.add_task("starter", message="")

        def tell(fraction: float, message: str) -> None:
            bars.update(bar, message=f"{fraction:4.0%} {message}")

        sets = [_cases(work / name, seeds, smoke, tell) for name, seeds in _sets()]
        train, validation, test = sets
        bars.update(bar, description="detector")
        detector = finetune_detector(
            train,
            validation,
            start=None,
            recipe=detector_smoke() if smoke else detector_starter(),
            folder=work / "detector",
            progress=tell,
        )
        bars.update(bar, description="segmenter")
        segmenter = finetune_segmenter(
            train,
            validation,
            start=None,
            recipe=segmenter_smoke() if smoke else segmenter_starter(),
            folder=work / "segmenter",
            progress=tell,
        )
        minutes = (time.monotonic() - began) / 60
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(detector, out / "detector.safetensors")
        shutil.copyfile(segmenter, out / "segmenter.safetensors")
        bars.update(bar, description="evaluation")
        record_held_out(
            out / "segmenter.safetensors", test, data=_held_out(), folder=work / "segmenter-held-out"
        )
        write_manifest(out, test=test, minutes=minutes, progress=tell)
    console.print(f"starter in {out} after {minutes:.1f} min of phantoms and training")


def write_manifest(out: Path, *, test: list[Case], minutes: float | None, progress: Progress) -> None:
    """Evaluate the two weight files in `out` on held-out phantoms and describe them in `manifest.json`."""
    from mammo.pipeline import Prelabeller
    from mammo.registry import ModelFiles
    from training.evaluate import evaluate

    files = {name: out / f"{name}.safetensors" for name in ("detector", "segmenter")}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    joint = hashlib.sha256("".join(sorted(hashes.values())).encode()).hexdigest()
    serving = {"threshold": 0.2, "prompt_rule": "robust", "prompt_count": 3}
    version = f"starter-{joint[:8]}"
    prelabeller = Prelabeller.load(ModelFiles(version=version, **files, **serving))  # type: ignore[arg-type]
    evaluation = evaluate(prelabeller, test, progress=progress)
    manifest = {
        "version": version,
        **serving,
        "weights": {
            name: {"sha256": hashes[name], "bytes": path.stat().st_size} for name, path in files.items()
        },
        "recipe": "starter",
        "parent": None,
        "trained_on": f"phantoms of vendor_a, seeds {TRAIN_SEEDS.start} to {TRAIN_SEEDS.stop - 1}",
        "training_minutes": None if minutes is None else round(minutes, 1),
        "evaluation": {
            "data": f"{_held_out()}: phantom results",
            **_numbers(evaluation),
        },
        "licence": "AGPL-3.0-or-later",
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _held_out() -> str:
    return f"phantoms of vendor_a, seeds {TEST_SEEDS.start} to {TEST_SEEDS.stop - 1}"


def _sets() -> list[tuple[str, range]]:
    return [("train", TRAIN_SEEDS), ("validation", VALIDATION_SEEDS), ("test", TEST_SEEDS)]


def _cases(folder: Path, seeds: range, smoke: bool, tell: Progress) -> list[Case]:
    return write_phantom_patients(
        folder,
        seeds=seeds[:2] if smoke else seeds,
        appearance=vendor_a(),
        positive=1.0 if smoke else POSITIVE,
        patient_secret=SECRET,
        progress=tell,
    )


def _numbers(evaluation: Evaluation) -> dict[str, Any]:
    """What the manifest says of an evaluation; sensitivities by false positives per image."""
    curve = evaluation.froc
    return {
        "patients": len(evaluation.patients),
        "images": len(evaluation.images),
        "clusters": evaluation.num_lesions,
        "sensitivity": {f"{rate:g}": round(sensitivity_at(curve, rate), 3) for rate in (0.25, 0.5, 1.0, 2.0)},
        "dice": round(evaluation.dice, 3),
    }
