"""The recipe of the starter weights, as `yolo-mlsam train-starter` runs it.

    1. draw phantom patients, and public backgrounds with inserted clusters: sets for training, validation and test
    2. detector: train from scratch; train on, on new images, with its false alarms as hard tiles; weigh specks; set
       the operating point on validation, evaluate on test
    3. segmenter: train from scratch on phantoms; train on, on the detector's training images with its false alarms;
       evaluate on test
    4. evaluate both together and write the manifest

The two networks can be trained separately and in any order: their files record what they were trained and evaluated
on. The manifest is rewritten from the files in the folder. A repeated call resumes a stopped one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mammo.backgrounds import BackgroundSet
from mammo.detector import add_facts as add_detector_facts
from mammo.detector import set_speck_weight
from mammo.phantom import vendor_a
from mammo.segmenter.weights import add_facts as add_segmenter_facts
from mammo.segmenter.weights import load_segmenter, save_segmenter
from training.cases import Case, Progress
from training.detector.finetune import finetune_detector
from training.detector.recipes import detector_smoke, detector_starter, detector_starter_mined
from training.evaluation.detector import (
    Detect,
    DetectorFigures,
    hits_of,
    low_threshold_detector,
    measure,
    score_images,
)
from training.evaluation.detector_report import detector_report
from training.evaluation.operating_point import threshold_at, threshold_on_normals
from training.metrics import centre_rule, froc
from training.phantom_cases import (
    PHANTOM_SECRET,
    POSITIVE,
    read_phantom_traits,
    training_facts,
    write_phantom_patients,
)
from training.segmenter.finetune import finetune_segmenter
from training.segmenter.growth import grown
from training.segmenter.recipes import segmenter_smoke, segmenter_starter, segmenter_starter_mixed
from training.segmenter.validation import record_held_out
from training.starter.manifest import NETWORKS, Network, rounded, write_manifest
from training.starter.material import HELD_OUT, StarterMaterial

Fold = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Seeds:
    """Seeds of the phantom patients of one network. No set shares patients with another, the demo, the replay or the
    tests."""

    train: range
    """Empty for the detector, whose training images `training.starter.material` draws."""

    validation: range
    """For the operating point, and to choose among checkpoints."""

    test: range
    """For the final evaluation; used once, when the weights are final."""


SEEDS: dict[Network, Seeds] = {
    "detector": Seeds(range(0), range(2000, 2020), range(7000, 7040)),
    "segmenter": Seeds(range(1000, 1060), range(2000, 2006), range(7000, 7040)),
}

OPERATING_RATE = 0.5
"""False positives per phantom validation image at which the detector's threshold is set."""

NORMAL_RATE = 0.1
"""False positives per real image without a lesion; the higher threshold of the two counts. A tenth, because the images
are looks of a few women: on images of other sites the rate is several times higher (docs/experiments.md)."""

MIN_PRESENCE_AUC = 0.75
"""Below it, on validation, the presence head does not tell clusters from the detector's false positives and is left out
of the shipped weights."""

SPECK_WEIGHT = 0.5
"""Weight of specks in the detector's scores (`mammo.detector.specks`). It was chosen when the figures of the test
patients were in sight too (docs/experiments.md, 2026-12-02). The trainings go without."""

DEFAULT_THRESHOLD = 0.2
"""The detector's threshold when the validation patients do not define one."""


def train_starter(
    *,
    out: Path,
    work: Path,
    backgrounds: Sequence[BackgroundSet],
    smoke: bool,
    only: Network | None = None,
    progress: Progress,
) -> None:
    """Follow the recipe.

    Args:
        out: receives `detector.safetensors`, `segmenter.safetensors` and `manifest.json`.
        work: receives phantoms and runs; those of an earlier call are reused.
        smoke: two patients per set and seconds of training, to try the command.
        only: train this network and leave the other's file unchanged; if `out` has no such file, no manifest is
            written.
        backgrounds: the sets of the recipe (`training.starter.material.SETS`).

    Raises:
        InvalidBackgrounds: see `StarterMaterial.of`.
    """
    material = StarterMaterial.of(backgrounds, work / "material", smoke=smoke, progress=progress)
    run = StarterRun(out, work, material, smoke, progress)
    out.mkdir(parents=True, exist_ok=True)
    if only != "segmenter":
        train_detector(run)
    if only != "detector":
        train_segmenter(run)
    if all(run.weights(network).is_file() for network in NETWORKS):
        write_manifest(
            out,
            validation=run.cases("detector", "validation"),
            test=run.cases("segmenter", "test"),
            trained_on={
                "detector": material.describe("detector"),
                "segmenter": f"{describe_phantoms(SEEDS['segmenter'].train)}; then {material.describe('segmenter')}",
            },
            evaluated_on=describe_phantoms(SEEDS["segmenter"].test),
            progress=progress,
        )


@dataclass(frozen=True)
class StarterRun:
    """The arguments of `train_starter`, and the files and cases that follow from them."""

    out: Path
    work: Path
    material: StarterMaterial
    smoke: bool
    progress: Progress

    def weights(self, network: Network) -> Path:
        return self.out / f"{network}.safetensors"

    def cases(self, network: Network, fold: Fold) -> list[Case]:
        """Draw the phantom patients of a set, unless an earlier call has drawn them."""
        seeds: range = getattr(SEEDS[network], fold)
        return write_phantom_patients(
            self.work / fold,
            seeds=seeds[:2] if self.smoke else seeds,
            appearance=vendor_a(),
            positive=1.0 if self.smoke else POSITIVE,
            patient_secret=PHANTOM_SECRET,
            progress=self.progress,
        )


def train_detector(run: StarterRun) -> None:
    """Train the detector, weigh specks, set its operating point and evaluate it; its file records all of it."""
    first = finetune_detector(
        run.material.cases("train"),
        [],
        start=None,
        recipe=detector_smoke() if run.smoke else detector_starter(),
        folder=run.work / "detector",
        progress=run.progress,
    )
    trained = finetune_detector(
        run.material.cases("mined"),
        [],
        start=first,
        recipe=detector_smoke() if run.smoke else detector_starter_mined(),
        folder=run.work / "detector-mined",
        progress=run.progress,
    )
    shutil.copyfile(trained, run.weights("detector"))
    settle_detector(run)


def settle_detector(run: StarterRun) -> None:
    """Weigh specks in the scores of a trained detector, set its operating point and evaluate it."""
    weights = run.weights("detector")
    set_speck_weight(weights, SPECK_WEIGHT)
    detect = low_threshold_detector(weights)
    point = set_operating_point(detect, run)
    test = run.cases("detector", "test")
    traits = read_phantom_traits(run.work / "test")
    scored = score_images(detect, test, traits=traits, progress=run.progress)
    figures = measure(scored, threshold=point["threshold"])
    report = detector_report(scored, figures, facts={"data": describe_phantoms(SEEDS["detector"].test)})
    report.write(run.work / "report", name="detector")
    inserted = score_images(detect, run.material.cases("test"), progress=run.progress)
    facts = {
        "trained_on": run.material.describe("detector"),
        "operating_point": point,
        "held_out": _phantom_figures(figures),
        "held_out_inserted": _inserted_figures(measure(inserted, threshold=point["threshold"])),
    }
    add_detector_facts(weights, facts)


def set_operating_point(detect: Detect, run: StarterRun) -> dict[str, Any]:
    """Set the threshold on phantoms and on untouched real normals together: the higher of the two.

    Returns:
        The threshold, and on what it was set.
    """
    validation = run.cases("detector", "validation")
    curve = froc(hits_of(score_images(detect, validation, progress=run.progress), rule=centre_rule))
    normals = score_images(detect, run.material.cases("normal"), progress=run.progress)
    on_phantoms = threshold_at(curve, rate=OPERATING_RATE, default=DEFAULT_THRESHOLD)
    on_normals = threshold_on_normals(
        [[each.score for each in image.detections] for image in normals], rate=NORMAL_RATE
    )
    seeds = SEEDS["detector"].validation
    return {
        "threshold": max(on_phantoms, on_normals),
        "phantoms": {
            "threshold": on_phantoms,
            "false_positives_per_image": OPERATING_RATE,
            "appearance": vendor_a().name,
            "seeds": [seeds.start, seeds.stop],
        },
        "real_normals": {
            "threshold": on_normals,
            "false_positives_per_image": NORMAL_RATE,
            "women": sorted({image.patient for image in normals}),
            "images": len(normals),
        },
    }


def _inserted_figures(figures: DetectorFigures) -> dict[str, Any]:
    """Figures on clusters inserted into the backgrounds of women held out."""
    return {
        "women": sorted(HELD_OUT),
        "images": figures.num_images,
        "clusters": figures.num_lesions,
        "sensitivity": rounded(figures.sensitivity),
        "false_positives_per_image": rounded(figures.false_positives),
        "sensitivity_at_false_positives_per_image": {
            f"{rate:g}": round(each.value, 3) for rate, each in figures.froc_centre.items()
        },
    }


def _phantom_figures(figures: DetectorFigures) -> dict[str, Any]:
    """Figures on phantom patients."""
    seeds = SEEDS["detector"]
    return {
        "appearance": vendor_a().name,
        "seeds": list(seeds.test),
        "rule": "centre of the box inside the true box",
        "patients": figures.num_patients,
        "images": figures.num_images,
        "clusters": figures.num_lesions,
        "at_the_operating_point": {
            "sensitivity": rounded(figures.sensitivity),
            "false_positives_per_image": rounded(figures.false_positives),
        },
        "sensitivity_at_false_positives_per_image": {
            f"{rate:g}": round(each.value, 3) for rate, each in figures.froc_centre.items()
        },
    }


def train_segmenter(run: StarterRun) -> None:
    """Train the segmenter, also on the detector's false positives if there is one, and evaluate it."""
    detector = run.weights("detector")
    false_positives_of = detector if detector.is_file() else None
    validation = run.cases("segmenter", "validation")
    first = finetune_segmenter(
        run.cases("segmenter", "train"),
        validation,
        start=None,
        recipe=segmenter_smoke() if run.smoke else segmenter_starter(),
        folder=run.work / "segmenter",
        detector=false_positives_of,
        progress=run.progress,
    )
    trained = finetune_segmenter(
        run.material.cases("train"),
        [*run.material.cases("validation"), *validation],
        start=first,
        recipe=segmenter_smoke() if run.smoke else segmenter_starter_mixed(),
        folder=run.work / "segmenter-mixed",
        detector=false_positives_of,
        progress=run.progress,
    )
    weights = run.weights("segmenter")
    _copy_useful_parts(trained, weights)
    seeds = SEEDS["segmenter"]
    first_stage = training_facts(vendor_a().name, seeds.train)
    add_segmenter_facts(weights, {**first_stage, "trained_on": run.material.describe("segmenter")})
    for name, cases, data in (
        ("held_out", run.cases("segmenter", "test"), describe_phantoms(seeds.test)),
        ("held_out_inserted", run.material.cases("test"), f"clusters inserted into {_women()}"),
    ):
        record_held_out(weights, cases, entry=name, data=data, folder=run.work / f"segmenter-{name}")


def _copy_useful_parts(trained: Path, weights: Path) -> None:
    """Copy a segmenter's file, without a presence head below `MIN_PRESENCE_AUC`; the masks stay the same."""
    network, facts = load_segmenter(trained)
    area = facts["validation"]["presence_auc"]
    if network.config.presence and (area is None or area < MIN_PRESENCE_AUC):
        network = grown(network, replace(network.config, presence=False), seed=0)
    save_segmenter(weights, network, facts=facts)


def _women() -> str:
    return f"backgrounds of {', '.join(sorted(HELD_OUT))}"


def describe_phantoms(seeds: range) -> str:
    return f"phantoms of vendor_a, seeds {seeds.start} to {seeds.stop - 1}"
