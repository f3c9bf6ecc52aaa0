"""A retrain, read from top to bottom: corrections -> dataset version -> challenger -> verdict -> champion or not.

Every stage writes what it came to into the ledger, once; a run that was killed goes on at the first stage that has not,
with the same dataset version, against the same champion.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from mammo.atomic_files import replacing
from mammo.errors import Cancelled, MammoError, PromotionConflict
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import Alias, ModelFiles
from mammo.models.aliases import move_champion
from mammo.models.self_test import MIN_SCORE, record
from mammo.runs import RunLedger, require_trainable
from mammo.runs.jobs import Retrain
from training.cases import Case, Progress
from training.datasets.building import build_dataset_version
from training.datasets.rereading import reread
from training.datasets.versions import DatasetVersion, open_dataset_version
from training.evaluation.model_version import Evaluation, evaluate
from training.evaluation.operating_point import operating_threshold
from training.evaluation.presence_point import presence_facts
from training.gate.data_requirements import require_enough
from training.gate.gate import Verdict, judge
from training.retrain.context import RetrainContext
from training.retrain.step_progress import Report, Stages
from training.retrain.train_once import train_once

if TYPE_CHECKING:
    from training.retrain.recipes import Recipe

log = structlog.get_logger()

VERDICT = "verdict.json"
"""In the run folder: the summary, and both evaluations image by image."""


def retrain(
    order: Retrain,
    *,
    run: str,
    recipe: Recipe,
    context: RetrainContext,
    report: Report,
    tags: ControlTags,
    ledger: RunLedger,
) -> dict[str, Any]:
    """Train a challenger from a project's corrections, judge it, and promote it if it wins.

    Args:
        run: name of the run and of its folder.
        report: told how far the run is.
        tags: the project's labels and prompt controls.
        ledger: of the run; knows what its stages came to before it was killed.

    Returns:
        JSON values: `run`, `project`, `recipe`, `dataset_version`, `champion` (the version judged against),
        `challenger`, `promoted`, `verdict`, `seconds` by stage, and counts of the dataset.

    Raises:
        InsufficientData: too few corrections or patients; says what is missing.
        NeverTrainedFrom: no model may learn from the project.
        Cancelled: `report` asked to stop.
    """
    folder = context.runs / run
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / VERDICT).is_file():  # it was killed after its end, before it could say so
        return _read_summary(folder)
    stages, from_champion = Stages(report), recipe.from_champion

    ledger.enter("building")
    with stages.enter("dataset") as progress:
        dataset, champion = _build(order, ledger, context, recipe, tags, progress)
        train, validation, test = (
            dataset.cases(fold, open_image=context.open_image) for fold in ("train", "validation", "test")
        )
    serving = context.registry.files(champion.version, into=context.models)

    ledger.enter("detector")
    with stages.enter("detector") as progress:
        detector = train_once(
            "detector",
            lambda recipe: context.networks.finetune_detector(
                train,
                validation,
                start=serving.detector if from_champion else None,
                recipe=recipe,
                folder=folder / "detector",
                progress=progress,
            ),
            recipe=recipe.detector,
            folder=folder,
            ledger=ledger,
            blobs=context.blobs,
        )
    ledger.enter("segmenter")
    with stages.enter("segmenter") as progress:
        segmenter = train_once(
            "segmenter",
            lambda recipe: context.networks.finetune_segmenter(
                train,
                validation,
                start=serving.segmenter if from_champion else None,
                recipe=recipe,
                folder=folder / "segmenter",
                detector=detector,
                progress=progress,
            ),
            recipe=recipe.segmenter,
            folder=folder,
            ledger=ledger,
            blobs=context.blobs,
        )
    ledger.enter("evaluating")
    unregistered = _unregistered(serving, detector, segmenter)
    with stages.enter("operating point") as progress:
        challenger = _register(
            order,
            unregistered,
            validation,
            run=run,
            dataset=dataset,
            parent=champion.version,
            recipe=recipe,
            context=context,
            ledger=ledger,
            progress=progress,
        )
    contender = context.registry.files(challenger, into=context.models)

    with stages.enter("champion") as progress:
        old = _evaluated("champion", serving, test, context=context, ledger=ledger, progress=progress)
    with stages.enter("challenger") as progress:
        new = _evaluated("challenger", contender, test, context=context, ledger=ledger, progress=progress)

    verdict = judge(old, new, rule=recipe.gate, newest=dataset.newest_patients("test"))
    ledger.keep("verdict", verdict.to_json())
    ledger.enter("judged")
    summary = _end(
        {
            "run": run,
            "project": order.project,
            "recipe": order.recipe,
            "dataset_version": dataset.name,
            "images": {"train": len(train), "validation": len(validation), "test": len(test)},
            "excluded": dataset.why_excluded,
            "images_without_patient": dataset.num_alone,
            "champion": champion.version,
            "challenger": challenger,
            "verdict": verdict.to_json(),
            "seconds": stages.seconds,
        },
        verdict,
        against=champion,
        ledger=ledger,
    )
    conclude(summary, {"champion": old.to_json(), "challenger": new.to_json()}, context=context)
    return summary


def conclude(summary: dict[str, Any], evaluations: dict[str, Any], *, context: RetrainContext) -> None:
    """What follows the end of a run: its verdict beside the model version and in the run folder. Safe to repeat."""
    context.registry.note(
        summary["challenger"],
        "verdict",
        {key: summary[key] for key in ("run", "champion", "promoted", "reason", "verdict")},
    )
    _write_verdict(context.runs / summary["run"], summary, evaluations)


def _build(
    order: Retrain,
    ledger: RunLedger,
    context: RetrainContext,
    recipe: Recipe,
    tags: ControlTags,
    progress: Progress,
) -> tuple[DatasetVersion, Alias]:
    """The dataset version and the champion of the moment the run began, however often it is taken up again."""
    require_trainable(order.project, engine=context.engine)
    known = ledger.result("dataset")
    if known is None:
        champion = context.registry.champion()
        _tell_rereading(order.project, ledger, context, tags, progress)
        dataset = build_dataset_version(
            context.store,
            context.engine,
            context.blobs,
            project=order.project,
            open_image=context.open_image,
            fingerprint=context.fingerprint,
            secret=context.secret,
            tags=tags,
            prefer=context.prefer,
            with_automatic=context.train_on_automatic,
            progress=progress,
        )
        require_enough(dataset, recipe.gate)
        made = {"name": dataset.name, "champion": champion.version, "epoch": champion.epoch}
        known = ledger.keep("dataset", made)
        if known == made:
            return dataset, champion
    return (
        open_dataset_version(known["name"], blobs=context.blobs),
        Alias(known["champion"], known["epoch"]),
    )


def _tell_rereading(
    project: int, ledger: RunLedger, context: RetrainContext, tags: ControlTags, progress: Progress
) -> None:
    """Write down what is read otherwise than in the newest dataset version; it stops no run."""
    try:
        told = reread(
            project,
            store=context.store,
            engine=context.engine,
            blobs=context.blobs,
            tags=tags,
            prefer=context.prefer,
            fingerprint=context.fingerprint,
            progress=lambda _, message: progress(0.0, f"read anew: {message}"),
        )
    except Cancelled:
        raise
    except MammoError as error:  # building the dataset version says whether that matters
        ledger.log(f"annotations could not be compared with the newest dataset version: {error}")
        return
    if not told.read_otherwise and not told.different and not told.problem:
        return
    ledger.log(told.sentence)
    if told.problem:
        return
    log.warning(
        "annotations are read otherwise than in the newest dataset version",
        project=project,
        dataset_version=told.version,
        refused_that_were_held=told.refused_that_were_held,
        **told.counts,
        **{f"findings_{kind}": count for kind, count in told.findings.items()},
    )


def _register(
    order: Retrain,
    trained: ModelFiles,
    validation: list[Case],
    *,
    run: str,
    dataset: DatasetVersion,
    parent: str,
    recipe: Recipe,
    context: RetrainContext,
    ledger: RunLedger,
    progress: Progress,
) -> str:
    """Set the challenger's operating point and register it; returns its name. Once a run, also after a kill between."""
    known = ledger.result("registered")
    if known is not None:
        return str(known["version"])
    registry = context.registry
    challenger = next(
        (each for each in reversed(registry.versions()) if registry.manifest(each).get("run") == run), None
    )
    if challenger is None:
        threshold = operating_threshold(
            context.networks.load(trained),
            validation,
            rate=recipe.operating_rate,
            default=trained.threshold,
            progress=progress,
        )
        trained = replace(trained, threshold=threshold)
        looking = context.networks.load(replace(trained, threshold=MIN_SCORE))
        challenger = registry.register(
            detector=trained.detector,
            segmenter=trained.segmenter,
            manifest={
                "threshold": threshold,
                **presence_facts(trained, validation, load=context.networks.load, progress=progress),
                "prompt_rule": trained.prompt_rule,
                "prompt_count": trained.prompt_count,
                "parent": parent,
                "recipe": order.recipe,
                "dataset_version": dataset.name,
                "run": run,
                "reason": order.reason,
                "self_test": record(partial(looking.prelabel, threshold=None)),
                "code_version": installed_version("yolo-mlsam"),
                "runtimes": {**looking.runtimes, **context.networks.libraries()},
                "licence": registry.manifest(parent).get("licence"),
            },
        )
    registry.name_challenger(challenger, reason=f"run {run}")
    return str(ledger.keep("registered", {"version": challenger})["version"])


def _evaluated(
    stage: str,
    files: ModelFiles,
    test: list[Case],
    *,
    context: RetrainContext,
    ledger: RunLedger,
    progress: Progress,
) -> Evaluation:
    """One of the two models on the test patients."""
    known = ledger.result(stage)
    if known is None:
        made = evaluate(context.networks.load(files), test, progress=progress)
        known = ledger.keep(stage, made.to_json())
    return Evaluation.from_json(known)


def _unregistered(serving: ModelFiles, detector: Path, segmenter: Path) -> ModelFiles:
    """The challenger before it has a name and a threshold of its own."""
    return ModelFiles(
        version="unregistered",
        detector=detector,
        segmenter=segmenter,
        threshold=serving.threshold,
        prompt_rule=serving.prompt_rule,
        prompt_count=serving.prompt_count,
        presence_threshold=serving.presence_threshold,
    )


def _end(summary: dict[str, Any], verdict: Verdict, *, against: Alias, ledger: RunLedger) -> dict[str, Any]:
    """Move the champion if the verdict says so and the champion is still the one it was judged against.

    The run ends and the champion moves in one transaction: neither is ever without the other, nor twice.
    """
    reason = verdict.reason
    if verdict.promote:
        won = {**summary, "promoted": True, "reason": reason}
        move = partial(
            move_champion,
            version=summary["challenger"],
            expected_epoch=against.epoch,
            kind="promote",
            reason=reason,
            actor="gate",
        )
        try:
            ledger.end("promoted", won, reason=reason, also=move)
        except PromotionConflict as error:
            reason = f"won, but was not promoted: {error}"
        else:
            return won
    kept = {**summary, "promoted": False, "reason": reason}
    ledger.end("kept", kept, reason=reason)
    return kept


def _write_verdict(folder: Path, summary: dict[str, Any], evaluations: dict[str, Any]) -> None:
    judged_at = datetime.now(UTC).isoformat(timespec="seconds")
    content = {**summary, "judged_at": judged_at, "evaluations": evaluations}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(folder / VERDICT) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _read_summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / VERDICT).read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key not in ("judged_at", "evaluations")}
