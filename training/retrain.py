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
from mammo.jobs import Retrain
from mammo.labelstudio.labeling_config import ControlTags
from mammo.registry import Alias, ModelFiles
from mammo.registry.aliases import move_champion
from mammo.runs import RunLedger, require_trainable
from mammo.self_test import LEAST_SCORE, record
from training.cases import Case, Progress
from training.dataset_building import build_dataset_version
from training.dataset_versions import DatasetVersion, open_dataset_version
from training.enough import require_enough
from training.evaluate import Evaluation, evaluate
from training.gate import Verdict, judge
from training.operating_point import operating_threshold
from training.presence_point import presence_facts
from training.rereading import reread
from training.stages import Report, Stages
from training.train_once import train_once
from training.workshop import Workshop

if TYPE_CHECKING:
    from training.recipes import Recipe

log = structlog.get_logger()

VERDICT = "verdict.json"
"""In the run folder: the summary, and both evaluations image by image."""


def retrain(
    order: Retrain,
    *,
    run: str,
    recipe: Recipe,
    workshop: Workshop,
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
    folder = workshop.runs / run
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / VERDICT).is_file():  # it was killed after its end, before it could say so
        return _read_summary(folder)
    stages, from_champion = Stages(report), recipe.from_champion

    ledger.enter("building")
    with stages.enter("dataset") as progress:
        dataset, champion = _build(order, ledger, workshop, recipe, tags, progress)
        train, validation, test = (
            dataset.cases(fold, open_image=workshop.open_image) for fold in ("train", "validation", "test")
        )
    serving = workshop.registry.files(champion.version, into=workshop.models)

    ledger.enter("detector")
    with stages.enter("detector") as progress:
        detector = train_once(
            "detector",
            lambda recipe: workshop.networks.finetune_detector(
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
            blobs=workshop.blobs,
        )
    ledger.enter("segmenter")
    with stages.enter("segmenter") as progress:
        segmenter = train_once(
            "segmenter",
            lambda recipe: workshop.networks.finetune_segmenter(
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
            blobs=workshop.blobs,
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
            workshop=workshop,
            ledger=ledger,
            progress=progress,
        )
    contender = workshop.registry.files(challenger, into=workshop.models)

    with stages.enter("champion") as progress:
        old = _evaluated("champion", serving, test, workshop=workshop, ledger=ledger, progress=progress)
    with stages.enter("challenger") as progress:
        new = _evaluated("challenger", contender, test, workshop=workshop, ledger=ledger, progress=progress)

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
    conclude(summary, {"champion": old.to_json(), "challenger": new.to_json()}, workshop=workshop)
    return summary


def conclude(summary: dict[str, Any], evaluations: dict[str, Any], *, workshop: Workshop) -> None:
    """What follows the end of a run: its verdict beside the model version and in the run folder. Safe to repeat."""
    workshop.registry.note(
        summary["challenger"],
        "verdict",
        {key: summary[key] for key in ("run", "champion", "promoted", "reason", "verdict")},
    )
    _write_verdict(workshop.runs / summary["run"], summary, evaluations)


def _build(
    order: Retrain,
    ledger: RunLedger,
    workshop: Workshop,
    recipe: Recipe,
    tags: ControlTags,
    progress: Progress,
) -> tuple[DatasetVersion, Alias]:
    """The dataset version and the champion of the moment the run began, however often it is taken up again."""
    require_trainable(order.project, engine=workshop.engine)
    known = ledger.result("dataset")
    if known is None:
        champion = workshop.registry.champion()
        _tell_rereading(order.project, ledger, workshop, tags, progress)
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
        require_enough(dataset, recipe.gate)
        made = {"name": dataset.name, "champion": champion.version, "epoch": champion.epoch}
        known = ledger.keep("dataset", made)
        if known == made:
            return dataset, champion
    return (
        open_dataset_version(known["name"], blobs=workshop.blobs),
        Alias(known["champion"], known["epoch"]),
    )


def _tell_rereading(
    project: int, ledger: RunLedger, workshop: Workshop, tags: ControlTags, progress: Progress
) -> None:
    """Write down what is read otherwise than in the newest dataset version; it stops no run."""
    try:
        told = reread(
            project,
            store=workshop.store,
            engine=workshop.engine,
            blobs=workshop.blobs,
            tags=tags,
            prefer=workshop.prefer,
            fingerprint=workshop.fingerprint,
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
    workshop: Workshop,
    ledger: RunLedger,
    progress: Progress,
) -> str:
    """Set the challenger's operating point and register it; returns its name. Once a run, also after a kill between."""
    known = ledger.result("registered")
    if known is not None:
        return str(known["version"])
    registry = workshop.registry
    challenger = next(
        (each for each in reversed(registry.versions()) if registry.manifest(each).get("run") == run), None
    )
    if challenger is None:
        threshold = operating_threshold(
            workshop.networks.load(trained),
            validation,
            rate=recipe.operating_rate,
            default=trained.threshold,
            progress=progress,
        )
        trained = replace(trained, threshold=threshold)
        looking = workshop.networks.load(replace(trained, threshold=LEAST_SCORE))
        challenger = registry.register(
            detector=trained.detector,
            segmenter=trained.segmenter,
            manifest={
                "threshold": threshold,
                **presence_facts(trained, validation, load=workshop.networks.load, progress=progress),
                "prompt_rule": trained.prompt_rule,
                "prompt_count": trained.prompt_count,
                "parent": parent,
                "recipe": order.recipe,
                "dataset_version": dataset.name,
                "run": run,
                "reason": order.reason,
                "self_test": record(partial(looking.prelabel, threshold=None)),
                "code_version": installed_version("yolo-mlsam"),
                "runtimes": {**looking.runtimes, **workshop.networks.libraries()},
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
    workshop: Workshop,
    ledger: RunLedger,
    progress: Progress,
) -> Evaluation:
    """One of the two models on the test patients."""
    known = ledger.result(stage)
    if known is None:
        made = evaluate(workshop.networks.load(files), test, progress=progress)
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
