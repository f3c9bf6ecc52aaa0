"""A provisional model: a few corrections -> left-out judgement -> a version that serves the project, if it is better.

`provisional` is the list of steps; as in `training.retrain.retrain`, every step writes its result into the run's ledger
exactly once, and a killed run resumes at the first step without one. The champion never moves.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from mammo.errors import InsufficientData, PromotionConflict, RunConflict
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import CHAMPION, PROVISIONAL, Alias, ModelFiles
from mammo.models.aliases import find
from mammo.models.provisional import serve, withdraw
from mammo.runs import RunLedger
from mammo.runs.payloads import Retrain
from training.cases import Case, Progress
from training.datasets.folds import Fold
from training.datasets.versions import DatasetVersion
from training.evaluation.model_version import Evaluation, evaluate
from training.gate.gate import Verdict, judge
from training.provisional.left_out import Fit, Trainer, evaluate_left_out, fit_without, pooled_threshold
from training.provisional.material import draw_copies
from training.provisional.recipes import ProvisionalRecipe
from training.retrain.context import RetrainContext, RetrainRun
from training.retrain.outcome import conclude, read_summary
from training.retrain.step_progress import ReportStep, StepProgress
from training.retrain.steps import freeze_dataset, measured_facts, register_once

SHARES = {
    "dataset": 0.03,
    "material": 0.05,
    "champion": 0.07,
    "left out": 0.65,
    "challenger": 0.07,
    "all patients": 0.11,
    "operating point": 0.02,
}
"""The steps in order, each with its share of the progress bar."""

MATERIAL = "material"
"""Folder of what is drawn, in the run folder."""


@dataclass(frozen=True, kw_only=True)
class ProvisionalRun(RetrainRun):
    """One run for a provisional model."""

    recipe: ProvisionalRecipe


def provisional(
    request: Retrain,
    *,
    run: str,
    recipe: ProvisionalRecipe,
    gate_patients: int,
    context: RetrainContext,
    report: ReportStep,
    tags: ControlTags,
    ledger: RunLedger,
) -> dict[str, Any]:
    """Train a provisional model from a project's corrections, judge it on left-out patients, and let it serve.

    Args:
        run: name of the run and of its folder.
        gate_patients: held-out patients that the gate needs; with so many, a retrain is to be started instead.
        report: receives the progress.
        tags: labels and prompt controls of the project.
        ledger: of the run, with the results of earlier attempts.

    Returns:
        JSON values: `run`, `project`, `recipe`, `dataset_version`, `images`, `patients`, `images_without_patient`,
        `champion`, `challenger` (None if it lost), `promoted` (False), `provisional` (whether it serves), `reason`,
        `verdict`, `seconds`.

    Raises:
        InsufficientData: too few corrected images or patients; the message says how many are needed.
        RunConflict: there are patients enough for the gate (code `gate_has_enough`).
        NeverTrainedFrom: the project must not be trained on.
        Cancelled: raised by `report`.
    """
    provisional_run = ProvisionalRun(
        name=run,
        request=request,
        recipe=recipe,
        tags=tags,
        context=context,
        ledger=ledger,
        progress=StepProgress(report, SHARES),
    )
    provisional_run.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    summary = read_summary(provisional_run.folder)
    if summary is not None:  # an earlier attempt ended, and was killed before it could return
        return summary
    try:
        return _run(provisional_run, gate_patients=gate_patients)
    finally:  # it holds pixels of patients; a killed run leaves it for its continuation
        shutil.rmtree(provisional_run.folder / MATERIAL, ignore_errors=True)


def require_few(dataset: DatasetVersion, *, recipe: ProvisionalRecipe, gate_patients: int) -> None:
    """Refuse a dataset version that is too small for a provisional model, or large enough for the gate.

    Raises:
        InsufficientData, RunConflict: see `provisional`.
    """
    excluded = f" ({len(dataset.excluded)} excluded: {dataset.why_excluded})" if dataset.excluded else ""
    patients = len({item.patient for item in dataset.items})
    if len(dataset.items) < recipe.min_images or patients < recipe.min_patients:
        raise InsufficientData(
            f"{len(dataset.items)} corrected images of {patients} patients came{excluded}; a provisional model needs "
            f"at least {recipe.min_images} of {recipe.min_patients} patients: correct some more"
        )
    held_out = dataset.num_patients("test")
    if held_out >= gate_patients:
        raise RunConflict(
            f"{held_out} patients are held out for the test, and the gate needs {gate_patients}: a provisional model "
            f"is for projects with fewer; start a retrain with `yolo-mlsam runs start --project {dataset.project}`",
            code="gate_has_enough",
        )


def corrected_cases(dataset: DatasetVersion, context: RetrainContext) -> list[Case]:
    """All images of a dataset version, whatever their fold: its patients are judged by being left out."""
    folds: tuple[Fold, ...] = ("train", "validation", "test")
    return [case for fold in folds for case in dataset.cases(fold, open_image=context.open_image)]


def _run(run: ProvisionalRun, *, gate_patients: int) -> dict[str, Any]:
    context, ledger, recipe = run.context, run.ledger, run.recipe
    ledger.enter("building")
    dataset, opponent = freeze_dataset(
        run, require=partial(require_few, recipe=recipe, gate_patients=gate_patients)
    )
    cases = corrected_cases(dataset, context)
    champion = context.registry.files(opponent.version, into=context.models)
    with run.progress.step("material") as progress:
        copies = draw_copies(cases, recipe, folder=run.folder / MATERIAL, progress=progress)
    trainer = Trainer(networks=context.networks, start=champion, recipe=recipe, copies=copies)

    ledger.enter("detector")
    before = _evaluate_champion(run, champion, cases)
    with run.progress.step("left out") as progress:
        fits = fit_without(trainer, cases, at_most=recipe.max_groups, folder=run.folder, progress=progress)
    ledger.enter("segmenter")  # trained above with each detector, if at all
    ledger.enter("evaluating")
    after = _evaluate_left_out(run, fits, champion, before)
    verdict = judge(before, after, rule=recipe.gate, newest=())
    ledger.keep("verdict", verdict.to_json())
    version = _all_patients(run, trainer, dataset, cases, after, verdict) if verdict.promote else None
    ledger.enter("judged")
    summary = {
        "run": run.name,
        "project": run.request.project,
        "recipe": run.request.recipe,
        "dataset_version": dataset.name,
        "images": len(cases),
        "patients": len(before.patients),
        "excluded": dataset.why_excluded,
        "images_without_patient": dataset.num_alone,
        "champion": champion.version,
        "challenger": version,
        "promoted": False,
        "verdict": verdict.to_json(),
        "seconds": run.progress.seconds,
    }
    summary = _end(run, summary, verdict, opponent=opponent)
    conclude(summary, {"champion": before.to_json(), "challenger": after.to_json()}, context=context)
    for fit in fits:
        shutil.rmtree(fit.folder, ignore_errors=True)  # a model that lacks a patient serves nobody
    return summary


def _evaluate_champion(run: ProvisionalRun, champion: ModelFiles, cases: list[Case]) -> Evaluation:
    with run.progress.step("champion") as progress:
        stored = run.ledger.result("champion")
        if stored is None:
            context = run.context
            evaluation = evaluate(
                context.networks.load(champion), cases, progress=progress, cache=context.evaluations
            )
            stored = run.ledger.keep("champion", evaluation.to_json())
        return Evaluation.from_json(stored)


def _evaluate_left_out(
    run: ProvisionalRun, fits: list[Fit], champion: ModelFiles, before: Evaluation
) -> Evaluation:
    with run.progress.step("challenger") as progress:
        stored = run.ledger.result("challenger")
        if stored is None:
            threshold = pooled_threshold(
                fits, before, rate=run.recipe.operating_rate, default=champion.threshold
            )
            evaluation = evaluate_left_out(
                fits, threshold=threshold, load=run.context.networks.load, progress=progress
            )
            stored = run.ledger.keep("challenger", evaluation.to_json())
        return Evaluation.from_json(stored)


def _all_patients(
    run: ProvisionalRun,
    trainer: Trainer,
    dataset: DatasetVersion,
    cases: list[Case],
    judged: Evaluation,
    verdict: Verdict,
) -> str:
    """Train on all patients and register the result; returns its model version."""
    with run.progress.step("all patients") as progress:
        trained = trainer.fit(cases, folder=run.folder / "all", progress=progress)

    def facts(files: ModelFiles, progress: Progress) -> dict[str, Any]:
        # The presence point stays the champion's: there is no patient left to choose it on.
        measured = measured_facts(run, files, [], threshold=judged.threshold, progress=progress)
        return {
            **measured,
            PROVISIONAL: run.request.project,
            "dataset_version": dataset.name,
            "provisional_note": (
                f"provisional, for project {run.request.project} only: trained on {len(cases)} corrected images of "
                f"{verdict.num_patients} patients, and judged by leaving patients out"
            ),
        }

    return register_once(
        run, trainer.start, facts, detector=trained.detector, segmenter=trained.segmenter, alias=False
    )


def _end(
    run: ProvisionalRun, summary: dict[str, Any], verdict: Verdict, *, opponent: Alias
) -> dict[str, Any]:
    """End the run, and let the version serve if it won and the champion is still the one that it was compared with."""
    version, project = summary["challenger"], run.request.project
    numbers = _numbers(verdict)
    if alone := summary["images_without_patient"]:
        numbers += (
            f"; {alone} images name no patient and count as one each, which flatters if a person has several"
        )
    if version is None:
        reason = f"no provisional model serves project {project}: {_objection(verdict)}; {numbers}"
    else:
        reason = f"{version} serves project {project} provisionally: {numbers}"

        def also(connection: Connection) -> None:
            champion = find(connection, CHAMPION)
            if champion != opponent:
                raise PromotionConflict("the champion has moved meanwhile; start the provisional run again")
            serve(connection, project, version, reason=numbers, actor="provisional run")

        try:
            served = {**summary, "provisional": True, "reason": reason}
            run.ledger.end("provisional", served, reason=reason, also=also)
        except PromotionConflict as error:
            reason = f"{version} won, but does not serve: {error}"
        else:
            return served
    ended = {**summary, "provisional": False, "reason": reason}
    # An earlier one of the project, which fewer corrections had judged better, does not outlive this judgement.
    run.ledger.end("kept", ended, reason=reason, also=partial(_withdraw, project=project, run=run.name))
    return ended


def _withdraw(connection: Connection, *, project: int, run: str) -> None:
    reason = f"run {run} judged more corrections, and found none better than the champion"
    withdraw(connection, project, reason=reason, actor="provisional run")


def _numbers(verdict: Verdict) -> str:
    low, high = verdict.interval
    return (
        f"on {verdict.num_images} images of {verdict.num_patients} patients, each judged by a model that was trained "
        f"without her, the score was {verdict.champion.primary:.3f} with {verdict.champion.version} and "
        f"{verdict.challenger.primary:.3f} (difference {verdict.difference:+.3f}, 90 % interval {low:+.3f} to "
        f"{high:+.3f}, better in {verdict.confidence:.0%} of draws; {verdict.rule.confidence:.0%} required)"
    )


def _objection(verdict: Verdict) -> str:
    """Why the champion stays, without the numbers; the verdict's reason begins `kept VERSION: `."""
    return (
        verdict.reason.partition(": ")[2]
        .partition("; score ")[0]
        .replace("left out is", "a model trained on these corrections is")
    )
