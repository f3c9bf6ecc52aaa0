"""A retrain, read from top to bottom: corrections -> dataset version -> challenger -> verdict -> champion or not.

Every stage is safe to repeat: a run that was killed starts over, and what it left behind (a dataset version, an
unpromoted model version, a run folder) is true and harmless.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.errors import InsufficientData, PromotionConflict
from mammo.jobs import Retrain
from mammo.labelstudio.labeling_config import ControlTags
from mammo.registry import Alias, ModelFiles, ModelRegistry
from mammo.self_test import LEAST_SCORE, record
from training.cases import Case, Progress
from training.dataset_items import OpenImage, Source
from training.dataset_sources import PREFERENCE
from training.dataset_versions import DatasetVersion, Fingerprint, build_dataset_version
from training.evaluate import Evaluation, Prelabels, evaluate
from training.gate import GateRule, Verdict, judge
from training.operating_point import operating_threshold

if TYPE_CHECKING:
    from training.detector_recipes import DetectorRecipe
    from training.recipes import Recipe
    from training.segmenter_recipes import SegmenterRecipe

Report = Callable[[str, float, str], None]
"""Told the stage, how far the whole run is in [0, 1], and a short message; may raise `Cancelled` to stop it."""

VERDICT = "verdict.json"
"""In the run folder: the summary, and both evaluations image by image."""

SHARES = {
    "dataset": 0.05,
    "detector": 0.40,
    "segmenter": 0.30,
    "operating point": 0.05,
    "champion": 0.10,
    "challenger": 0.10,
}
"""The stages in order, and the part of a run's time that each takes, for the progress."""


class Networks(Protocol):
    """What trains and loads the networks; `training.networks.TorchNetworks` in earnest."""

    def finetune_detector(
        self,
        train: list[Case],
        validation: list[Case],
        *,
        start: Path | None,
        recipe: DetectorRecipe,
        folder: Path,
        progress: Progress,
    ) -> Path: ...

    def finetune_segmenter(
        self,
        train: list[Case],
        validation: list[Case],
        *,
        start: Path | None,
        recipe: SegmenterRecipe,
        folder: Path,
        detector: Path | None,
        progress: Progress,
    ) -> Path: ...

    def load(self, files: ModelFiles) -> Prelabels: ...


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where a run finds its material and leaves its work."""

    engine: Engine
    store: AnnotationStore
    registry: ModelRegistry
    blobs: Blobs
    open_image: OpenImage
    fingerprint: Fingerprint
    secret: bytes
    """Key of the pseudonyms in dataset versions."""

    networks: Networks
    runs: Path
    """Folder of the run folders."""

    models: Path
    """Folder of unpacked model versions."""

    prefer: Sequence[Source] = PREFERENCE
    """Whose word counts for an image that several have read, best first."""
    train_on_automatic: bool = False
    """Train also on annotations that no person has looked at."""


def retrain(
    order: Retrain,
    *,
    run: str,
    recipe: Recipe,
    workshop: Workshop,
    report: Report,
    tags: ControlTags | None = None,
) -> dict[str, Any]:
    """Train a challenger from a project's corrections, judge it, and promote it if it wins.

    Args:
        run: name of the run and of its folder.
        report: told how far the run is.
        tags: the project's labels and prompt controls; None takes those of our own labeling config.

    Returns:
        JSON values: `run`, `project`, `recipe`, `dataset_version`, `champion` (the version judged against),
        `challenger`, `promoted`, `verdict`, `seconds` by stage, and counts of the dataset.

    Raises:
        InsufficientData: too few corrections or patients; says what is missing.
        Cancelled: `report` asked to stop.
    """
    folder = workshop.runs / run
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / VERDICT).is_file():  # it was killed after its end, before it could say so
        return _read_summary(folder)
    stages = _Stages(report)
    champion = workshop.registry.champion()
    serving = workshop.registry.files(champion.version, into=workshop.models)

    with stages.enter("dataset") as progress:
        dataset = build_dataset_version(
            workshop.store,
            workshop.engine,
            workshop.blobs,
            project=order.project,
            open_image=workshop.open_image,
            fingerprint=workshop.fingerprint,
            secret=workshop.secret,
            tags=tags,
            prefer=workshop.prefer,
            with_automatic=workshop.train_on_automatic,
            progress=progress,
        )
        _require_enough(dataset, recipe.gate)
        train = dataset.cases("train", open_image=workshop.open_image)
        validation = dataset.cases("validation", open_image=workshop.open_image)
        test = dataset.cases("test", open_image=workshop.open_image)

    with stages.enter("detector") as progress:
        detector = workshop.networks.finetune_detector(
            train,
            validation,
            start=serving.detector if recipe.from_champion else None,
            recipe=recipe.detector,
            folder=folder / "detector",
            progress=progress,
        )
    with stages.enter("segmenter") as progress:
        segmenter = workshop.networks.finetune_segmenter(
            train,
            validation,
            start=serving.segmenter if recipe.from_champion else None,
            recipe=recipe.segmenter,
            folder=folder / "segmenter",
            detector=detector,
            progress=progress,
        )
    unregistered = _unregistered(serving, detector, segmenter)
    with stages.enter("operating point") as progress:
        threshold = operating_threshold(
            workshop.networks.load(unregistered),
            validation,
            rate=recipe.operating_rate,
            default=serving.threshold,
            progress=progress,
        )
    challenger = workshop.registry.register(
        detector=detector,
        segmenter=segmenter,
        manifest={
            "threshold": threshold,
            "prompt_rule": serving.prompt_rule,
            "prompt_count": serving.prompt_count,
            "parent": champion.version,
            "recipe": order.recipe,
            "dataset_version": dataset.name,
            "run": run,
            "reason": order.reason,
            "self_test": record(
                workshop.networks.load(replace(unregistered, threshold=LEAST_SCORE)).prelabel
            ),
            "code_version": installed_version("yolo-mlsam"),
            "licence": workshop.registry.manifest(champion.version).get("licence"),
        },
    )
    workshop.registry.name_challenger(challenger, reason=f"run {run}")
    contender = workshop.registry.files(challenger, into=workshop.models)

    with stages.enter("champion") as progress:
        old = evaluate(workshop.networks.load(serving), test, progress=progress)
    with stages.enter("challenger") as progress:
        new = evaluate(workshop.networks.load(contender), test, progress=progress)

    verdict = judge(old, new, rule=recipe.gate, newest=dataset.newest_patients("test"))
    promoted, reason = _promote(workshop.registry, challenger, verdict, against=champion)
    summary = {
        "run": run,
        "project": order.project,
        "recipe": order.recipe,
        "dataset_version": dataset.name,
        "images": {fold: len(cases) for fold, cases in _folds(train, validation, test)},
        "excluded": dataset.why_excluded,
        "images_without_patient": dataset.num_alone,
        "champion": champion.version,
        "challenger": challenger,
        "promoted": promoted,
        "reason": reason,
        "verdict": verdict.to_json(),
        "seconds": stages.seconds,
    }
    workshop.registry.note(
        challenger,
        "verdict",
        {key: summary[key] for key in ("run", "champion", "promoted", "reason", "verdict")},
    )
    _write_verdict(folder, summary, old, new)
    return summary


def _require_enough(dataset: DatasetVersion, rule: GateRule) -> None:
    """Stop before hours of training that could not end in a promotion."""
    left_out = f" ({len(dataset.excluded)} left out: {dataset.why_excluded})" if dataset.excluded else ""
    if not dataset.items:
        raise InsufficientData(f"no correction can be trained on{left_out}; annotate some tasks first")
    if not dataset.num_findings("train"):
        raise InsufficientData(
            f"none of the {dataset.num_patients('train')} training patients has an annotated cluster{left_out}; "
            "annotate patients with clusters"
        )
    held_out = dataset.num_patients("test")
    if held_out < rule.min_patients:
        raise InsufficientData(
            f"only {held_out} patients are held out for the test and the gate needs {rule.min_patients}{left_out}; "
            f"about every fourth new patient is held out, so annotate some {4 * (rule.min_patients - held_out)} more"
        )


def _unregistered(serving: ModelFiles, detector: Path, segmenter: Path) -> ModelFiles:
    """The challenger before it has a name and a threshold of its own."""
    return ModelFiles(
        version="unregistered",
        detector=detector,
        segmenter=segmenter,
        threshold=serving.threshold,
        prompt_rule=serving.prompt_rule,
        prompt_count=serving.prompt_count,
    )


def _promote(
    registry: ModelRegistry, challenger: str, verdict: Verdict, *, against: Alias
) -> tuple[bool, str]:
    """Move the champion if the verdict says so and the champion is still the one it was judged against."""
    if not verdict.promote:
        return False, verdict.reason
    try:
        registry.promote(challenger, expected_epoch=against.epoch, reason=verdict.reason)
    except PromotionConflict as error:
        return False, f"won, but was not promoted: {error}"
    return True, verdict.reason


def _folds(train: list[Case], validation: list[Case], test: list[Case]) -> tuple[tuple[str, list[Case]], ...]:
    return ("train", train), ("validation", validation), ("test", test)


def _write_verdict(folder: Path, summary: dict[str, Any], old: Evaluation, new: Evaluation) -> None:
    content = {
        **summary,
        "judged_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "evaluations": {"champion": asdict(old), "challenger": asdict(new)},
    }
    partial = folder / f"{VERDICT}.partial"
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(folder / VERDICT)


def _read_summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / VERDICT).read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key not in ("judged_at", "evaluations")}


@dataclass
class _Stages:
    """Turns the progress of one stage into that of the run, and keeps the time."""

    report: Report
    seconds: dict[str, float] = field(default_factory=dict)
    _done: float = 0.0

    @contextmanager
    def enter(self, stage: str) -> Iterator[Progress]:
        share, began = SHARES[stage], time.monotonic()

        def progress(fraction: float, message: str) -> None:
            self.report(stage, self._done + share * min(max(fraction, 0.0), 1.0), message)

        progress(0.0, "")
        yield progress
        self._done += share
        self.seconds[stage] = round(time.monotonic() - began, 1)
