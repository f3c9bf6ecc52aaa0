"""The steps of a retrain. A step whose result is in the ledger returns it instead of running again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal

from mammo.models import STAYS_AT_SITE, Alias, ModelFiles
from mammo.models.precision_notes import PRECISION_CHECK
from mammo.models.self_test import MIN_SCORE, record
from mammo.runs import require_trainable
from mammo.runs.records import FINDINGS
from training.cases import Case, Progress
from training.datasets.building import build_dataset_version
from training.datasets.items import OpenImage
from training.datasets.versions import DatasetVersion, open_dataset_version
from training.evaluation.model_version import Evaluation, evaluate
from training.evaluation.operating_point import operating_threshold
from training.evaluation.presence_point import presence_facts
from training.evaluation.seen_images import SeenImages
from training.retrain.context import RetrainRun, TrainingRun
from training.retrain.reading_changes import log_reading_changes
from training.retrain.train_once import train_once


@dataclass(frozen=True, kw_only=True)
class Folds:
    """The cases of a run, by fold."""

    train: list[Case]
    validation: list[Case]
    test: list[Case]

    @classmethod
    def of(cls, dataset: DatasetVersion, *, open_image: OpenImage) -> Folds:
        return cls(
            train=dataset.cases("train", open_image=open_image),
            validation=dataset.cases("validation", open_image=open_image),
            test=dataset.cases("test", open_image=open_image),
        )


def freeze_dataset(
    run: RetrainRun, *, require: Callable[[DatasetVersion], None]
) -> tuple[DatasetVersion, Alias]:
    """Build the dataset version, and fix the champion to judge against: both as of the first attempt at the run.

    Args:
        require: refuses a dataset version with too little data.

    Raises:
        InsufficientData, NeverTrainedFrom: see `training.retrain.retrain.retrain`.
    """
    context = run.context
    with run.progress.step("dataset") as progress:
        require_trainable(run.request.project, engine=context.engine)
        stored = run.ledger.result("dataset")
        if stored is None:
            champion = context.registry.champion()
            log_reading_changes(run, progress)
            dataset = build_dataset_version(
                context.store,
                context.engine,
                context.blobs,
                project=run.request.project,
                options=run.read_options,
                open_image=context.open_image,
                fingerprint=context.fingerprint,
                progress=progress,
            )
            require(dataset)
            result = {"name": dataset.name, "champion": champion.version, "epoch": champion.epoch}
            stored = run.ledger.keep("dataset", result)
            if stored == result:
                return dataset, champion
        dataset = open_dataset_version(stored["name"], blobs=context.blobs)
        return dataset, Alias(stored["champion"], stored["epoch"])


def train_detector(run: TrainingRun, folds: Folds, *, start: ModelFiles) -> Path:
    """Train the challenger's detector; returns its weights."""
    with run.progress.step("detector") as progress:
        return train_once(
            "detector",
            lambda recipe: run.context.networks.finetune_detector(
                folds.train,
                folds.validation,
                start=start.detector if run.recipe.from_champion else None,
                recipe=recipe,
                folder=run.folder / "detector",
                progress=progress,
                measure=partial(run.ledger.measure, "detector"),
            ),
            recipe=run.recipe.detector,
            folder=run.folder,
            ledger=run.ledger,
            blobs=run.context.blobs,
        )


def train_segmenter(run: TrainingRun, folds: Folds, *, start: ModelFiles, detector: Path) -> Path:
    """Train the challenger's segmenter, also on the false positives of its detector; returns its weights."""
    with run.progress.step("segmenter") as progress:
        return train_once(
            "segmenter",
            lambda recipe: run.context.networks.finetune_segmenter(
                folds.train,
                folds.validation,
                start=start.segmenter if run.recipe.from_champion else None,
                recipe=recipe,
                folder=run.folder / "segmenter",
                detector=detector,
                progress=progress,
                measure=partial(run.ledger.measure, "segmenter"),
            ),
            recipe=run.recipe.segmenter,
            folder=run.folder,
            ledger=run.ledger,
            blobs=run.context.blobs,
        )


def register_challenger(
    run: RetrainRun,
    champion: ModelFiles,
    dataset: DatasetVersion,
    folds: Folds,
    *,
    detector: Path,
    segmenter: Path,
) -> str:
    """Set the challenger's operating point on the validation fold and register it; returns its model version."""

    def facts(trained: ModelFiles, progress: Progress) -> dict[str, Any]:
        threshold = operating_threshold(
            run.context.networks.load(trained),
            folds.validation,
            rate=run.recipe.operating_rate,
            like=lambda: run.context.networks.load(champion),
            default=trained.threshold,
            progress=progress,
        )
        measured = measured_facts(run, trained, folds.validation, threshold=threshold, progress=progress)
        return {"dataset_version": dataset.name, **measured}

    return register_once(run, champion, facts, detector=detector, segmenter=segmenter)


def register_once(
    run: TrainingRun,
    champion: ModelFiles,
    facts: Callable[[ModelFiles, Progress], dict[str, Any]],
    *,
    detector: Path,
    segmenter: Path,
    alias: bool = True,
) -> str:
    """Register the challenger of a run; returns its model version.

    A run registers one challenger. An attempt that was killed between the registry and the ledger has registered it
    already, which its manifest shows.

    Args:
        facts: returns the manifest's entries about the trained networks, which it gets with the champion's operating
            point; `threshold` is one of them.
        alias: whether to point the alias `challenger` at it.
    """
    with run.progress.step("operating point") as progress:
        stored = run.ledger.result("registered")
        if stored is not None:
            return str(stored["version"])
        registry = run.context.registry
        version = next(
            (
                each
                for each in reversed(registry.versions())
                if registry.manifest(each).get("run") == run.name
            ),
            None,
        )
        if version is None:
            trained = replace(champion, version="unregistered", detector=detector, segmenter=segmenter)
            parent = registry.manifest(champion.version)
            manifest = {
                "parent": champion.version,
                "recipe": run.request.recipe,
                "run": run.name,
                "reason": run.request.reason,
                "licence": parent.get("licence"),
                **facts(trained, progress),
            }
            stays = {*parent.get(STAYS_AT_SITE, ()), *manifest.get(STAYS_AT_SITE, ())}
            if stays:  # weights that began with the parent's stay where these must stay
                manifest[STAYS_AT_SITE] = sorted(stays)
            version = registry.register(detector=detector, segmenter=segmenter, manifest=manifest)
        if alias:
            registry.name_challenger(version, reason=f"run {run.name}")
        return str(run.ledger.keep("registered", {"version": version})["version"])


def check_precision(run: RetrainRun, version: str, folds: Folds) -> None:
    """Note whether a version's detector may compute in bfloat16, before the gate evaluates it as it will serve."""
    with run.progress.step("precision") as progress:
        context = run.context
        if any(note.kind == PRECISION_CHECK for note in context.registry.notes(version)):
            return
        files = context.registry.files(version, into=context.models)
        detail = context.networks.check_precision(files, folds.validation, progress=progress)
        if detail is not None:
            context.registry.note(version, PRECISION_CHECK, detail)
            run.ledger.log(detail["sentence"])


def evaluate_on_test(
    run: RetrainRun, role: Literal["champion", "challenger"], files: ModelFiles, folds: Folds
) -> Evaluation:
    """Evaluate one of the two model versions on the test fold."""
    with run.progress.step(role) as progress:
        stored = run.ledger.result(role)
        if stored is None:
            seen = SeenImages()
            context = run.context
            evaluation = evaluate(
                context.networks.load(files),
                folds.test,
                progress=progress,
                observe=seen,
                cache=context.evaluations,
            )
            findings = run.context.blobs.put(seen.to_bytes())
            stored = run.ledger.keep(role, {**evaluation.to_json(), FINDINGS: findings})
        return Evaluation.from_json(stored)


def measured_facts(
    run: TrainingRun, trained: ModelFiles, cases: list[Case], *, threshold: float, progress: Progress
) -> dict[str, Any]:
    """Manifest entries that take the trained networks: operating point, presence point, self-test and runtimes.

    Args:
        trained: the challenger's networks with the champion's operating point.
        cases: for the presence point.
        threshold: the challenger's operating point.
    """
    networks = run.context.networks
    calibrated = replace(trained, threshold=threshold)
    # The self-test also records faint detections, so it runs below the operating point.
    sensitive = networks.load(replace(calibrated, threshold=MIN_SCORE))
    return {
        "threshold": threshold,
        **presence_facts(calibrated, cases, load=networks.load, progress=progress),
        "prompt_rule": trained.prompt_rule,
        "prompt_count": trained.prompt_count,
        "self_test": record(partial(sensitive.prelabel, threshold=None)),
        "code_version": installed_version("yolo-mlsam"),
        "runtimes": {**sensitive.runtimes, **networks.libraries()},
    }
