"""An adaptation: a site's images without annotations -> material -> challenger -> verdict -> promotion, if it wins.

A retrain whose cases are drawn. `adapt` is the list of steps; as in `training.retrain.retrain`, every step writes its
result into the run's ledger exactly once, and a killed run resumes at the first step without one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mammo.backgrounds import Background, BackgroundSet
from mammo.models import STAYS_AT_SITE, Alias, ModelFiles
from mammo.runs import RunLedger, require_trainable
from mammo.runs.payloads import Adapt
from mammo.runs.records import FINDINGS, PICTURES
from training.adapt.held_out import Rates, evaluate_held_out, operating_threshold, parts_of
from training.adapt.images import Images, frozen_dataset, require_enough_images, split, unique
from training.adapt.material import HeldOut, draw_cases
from training.adapt.recipes import AdaptRecipe
from training.adapt.suspicious import MIN_SCORE, strong
from training.cases import Case, Progress
from training.datasets.versions import open_dataset_version
from training.evaluation.dog_baseline import DogBaseline
from training.evaluation.seen_images import SeenImages
from training.gate.adapted import AdaptedEvaluation, AdaptedVerdict, judge_adapted
from training.retrain.context import RetrainContext, TrainingRun
from training.retrain.outcome import conclude, end_run, read_summary
from training.retrain.pictures import keep_pictures
from training.retrain.step_progress import ReportStep, StepProgress
from training.retrain.steps import (
    measured_facts,
    register_once,
    train_detector,
    train_segmenter,
)

SHARES = {
    "images": 0.04,
    "material": 0.06,
    "detector": 0.53,
    "segmenter": 0.20,
    "champion": 0.06,
    "operating point": 0.03,
    "challenger": 0.06,
    "pictures": 0.02,
}
"""The steps in order, each with its share of the progress bar."""

MATERIAL = "material"
"""Folder of what is drawn, in the run folder."""


@dataclass(frozen=True, kw_only=True)
class Adaptation(TrainingRun):
    """One adaptation."""

    request: Adapt
    recipe: AdaptRecipe
    sets: tuple[BackgroundSet, ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What an adaptation begins with, as of its first attempt."""

    images: Images
    opponent: Alias
    """The champion to judge against."""

    test: list[Case]
    """Of the project's frozen test patients; empty without any."""

    newest: set[str]
    """Keys of the newest of them."""

    dataset: str | None
    """Name of the dataset version that they are from."""


def adapt(
    request: Adapt,
    *,
    sets: Sequence[BackgroundSet],
    run: str,
    recipe: AdaptRecipe,
    context: RetrainContext,
    report: ReportStep,
    ledger: RunLedger,
) -> dict[str, Any]:
    """Train a challenger on clusters inserted into a site's images, judge it, and promote it if it wins.

    Args:
        sets: those that the request names.
        run: name of the run and of its folder.
        report: receives the progress.
        ledger: of the run, with the results of earlier attempts.

    Returns:
        JSON values: `run`, `project`, `recipe`, `backgrounds`, `images` by part, `set_aside`, `unreadable`,
        `dataset_version`, `champion`, `challenger`, `promoted`, `reason`, `verdict` and `seconds` by step.

    Raises:
        InsufficientData: too few images or patients; the message says how many are needed.
        InvalidBackgrounds: an image that this run began with is missing or damaged now.
        InvalidSettings: a project must be named (see `frozen_dataset`).
        NeverTrainedFrom: the project must not be trained on.
        Cancelled: raised by `report`.
    """
    adaptation = Adaptation(
        name=run,
        request=request,
        recipe=recipe,
        sets=tuple(sets),
        context=context,
        ledger=ledger,
        progress=StepProgress(report, SHARES),
    )
    adaptation.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    summary = read_summary(adaptation.folder)
    if summary is not None:  # an earlier attempt ended, and was killed before it could return
        return summary
    material = adaptation.folder / MATERIAL
    try:
        return _run(adaptation, material)
    finally:  # it holds pixels of patients; a killed run leaves it for its continuation
        shutil.rmtree(material, ignore_errors=True)


def _run(run: Adaptation, material: Path) -> dict[str, Any]:
    context, ledger = run.context, run.ledger
    ledger.enter("building")
    choice = choose(run)
    champion = context.registry.files(choice.opponent.version, into=context.models)
    with run.progress.step("material") as progress:
        folds, held_out = draw_cases(choice.images, run.recipe, folder=material, progress=progress)

    ledger.enter("detector")
    detector = train_detector(run, folds, start=champion)
    ledger.enter("segmenter")
    segmenter = train_segmenter(run, folds, start=champion, detector=detector)

    ledger.enter("evaluating")
    evaluated = partial(_evaluate, run, held_out=held_out, test=choice.test)
    before = evaluated("champion", champion)
    facts = partial(_facts, run, choice, held_out, before)
    version = register_once(run, champion, facts, detector=detector, segmenter=segmenter)
    after = evaluated("challenger", context.registry.files(version, into=context.models))

    verdict = judge_adapted(
        before, after, background_of=held_out.background_of, rule=run.recipe.gate, newest=choice.newest
    )
    ledger.keep("verdict", verdict.to_json())
    ledger.enter("judged")
    summary = _summary(run, choice, champion=champion.version, challenger=version, verdict=verdict)
    judged = parts_of(held_out, choice.test)
    pictures = keep_pictures(
        run,
        before.by_background(held_out.background_of),
        after.by_background(held_out.background_of),
        verdict,
        [case for _, case in judged],
        parts=[part for part, _ in judged],
    )
    summary = {**summary, **({PICTURES: pictures} if pictures else {})}
    summary = end_run(summary, verdict, opponent=choice.opponent, ledger=ledger)
    conclude(summary, {"champion": before.to_json(), "challenger": after.to_json()}, context=context)
    return summary


def choose(run: Adaptation) -> Choice:
    """Split the images, and fix champion and test patients: all as of the first attempt at the run."""
    context, ledger = run.context, run.ledger
    with run.progress.step("images") as progress:
        require_trainable(run.request.project, engine=context.engine)
        stored = ledger.result("images")
        if stored is None:
            require_enough_images(run.sets)
            champion = context.registry.champion()
            dataset = frozen_dataset(run.request.project, engine=context.engine)
            serving = context.networks.load(context.registry.files(champion.version, into=context.models))
            detectors = [strong(partial(serving.detect, threshold=MIN_SCORE)), strong(DogBaseline())]
            images = split(
                unique(run.sets), detectors=detectors, context=context, progress=progress, note=ledger.log
            )
            for name in _names(images.set_aside, run.sets):
                ledger.log(f"set aside as suspicious: {name}")
            stored = ledger.keep(
                "images",
                {
                    **images.to_json(),
                    "champion": champion.version,
                    "epoch": champion.epoch,
                    "dataset_version": dataset,
                },
            )
        name = stored["dataset_version"]
        version = open_dataset_version(name, blobs=context.blobs) if name else None
        return Choice(
            images=Images.from_json(stored, run.sets),
            opponent=Alias(stored["champion"], stored["epoch"]),
            test=version.cases("test", open_image=context.open_image) if version else [],
            newest=version.newest_patients("test") if version else set(),
            dataset=name,
        )


def _evaluate(
    run: Adaptation,
    role: Literal["champion", "challenger"],
    files: ModelFiles,
    *,
    held_out: HeldOut,
    test: list[Case],
) -> AdaptedEvaluation:
    with run.progress.step(role) as progress:
        stored = run.ledger.result(role)
        if stored is None:
            context = run.context
            seen = SeenImages()
            evaluation = evaluate_held_out(
                context.networks.load(files),
                held_out,
                test,
                progress=progress,
                observe=seen,
                cache=context.evaluations,
            )
            findings = run.context.blobs.put(seen.to_bytes())
            stored = run.ledger.keep(role, {**evaluation.to_json(), FINDINGS: findings})
        return AdaptedEvaluation.from_json(stored)


def _facts(
    run: Adaptation,
    choice: Choice,
    held_out: HeldOut,
    champion: AdaptedEvaluation,
    trained: ModelFiles,
    progress: Progress,
) -> dict[str, Any]:
    """Manifest entries of the challenger. It may have no more false positives than the champion has now."""
    threshold = operating_threshold(
        run.context.networks.load(trained),
        held_out,
        rates=Rates(
            untouched=min(run.recipe.operating_rate, champion.false_positives),
            inserted=run.recipe.operating_rate,
        ),
        default=trained.threshold,
        progress=progress,
    )
    stays = [f"{each.name} ({each.licence})" for each in run.sets if not each.may_ship]
    return {
        "adapted_to": {
            "sets": [
                {"name": each.name, "licence": each.licence, "may_ship": each.may_ship} for each in run.sets
            ],
            "images": _counts(choice.images),
            "patients_assumed": any(each.patients_assumed for each in run.sets),
        },
        **({STAYS_AT_SITE: stays} if stays else {}),
        **measured_facts(run, trained, held_out.inserted, threshold=threshold, progress=progress),
    }


def _summary(
    run: Adaptation, choice: Choice, *, champion: str, challenger: str, verdict: AdaptedVerdict
) -> dict[str, Any]:
    return {
        "run": run.name,
        "project": run.request.project,
        "recipe": run.request.recipe,
        "backgrounds": [each.name for each in run.sets],
        "images": _counts(choice.images),
        "set_aside": _names(choice.images.set_aside, run.sets),
        "unreadable": _names(choice.images.unreadable, run.sets),
        "dataset_version": choice.dataset,
        "champion": champion,
        "challenger": challenger,
        "verdict": verdict.to_json(),
        "seconds": run.progress.seconds,
    }


def _counts(images: Images) -> dict[str, int]:
    return {part: len(digests) for part, digests in images.to_json().items()}


def _names(images: Sequence[Background], sets: Sequence[BackgroundSet]) -> list[str]:
    """Where these images lie: `SET/FILE`; a site's own file is named by its hash."""
    named = {image.sha256 for image in images}
    return [
        f"{each.name}/{background.path.name}"
        for each in sets
        for background in each.backgrounds
        if background.sha256 in named
    ]
