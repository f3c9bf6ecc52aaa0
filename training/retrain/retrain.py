"""A retrain: corrections -> dataset version -> challenger -> verdict -> promotion, if the challenger wins.

Step 10 of the walk.

`retrain` is the list of steps. Every step writes its result into the run's ledger exactly once. A killed run resumes
at the first step without a result, with the same dataset version and against the same champion.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mammo.labelstudio.labeling_config import ControlTags
from mammo.runs import RunLedger
from mammo.runs.payloads import Retrain
from mammo.runs.records import PICTURES
from training.gate.data_requirements import require_enough_data
from training.gate.gate import judge
from training.retrain.context import RetrainContext, RetrainRun
from training.retrain.outcome import conclude, end_run, read_summary, summarize
from training.retrain.pictures import keep_pictures
from training.retrain.step_progress import ReportStep, StepProgress
from training.retrain.steps import (
    Folds,
    check_precision,
    evaluate_on_test,
    freeze_dataset,
    register_challenger,
    train_detector,
    train_segmenter,
)

if TYPE_CHECKING:
    from training.retrain.recipes import Recipe


def retrain(
    request: Retrain,
    *,
    run: str,
    recipe: Recipe,
    context: RetrainContext,
    report: ReportStep,
    tags: ControlTags,
    ledger: RunLedger,
) -> dict[str, Any]:
    """Train a challenger from a project's corrections, judge it, and promote it if it wins.

    Args:
        run: name of the run and of its folder.
        report: receives the progress.
        tags: labels and prompt controls of the project.
        ledger: of the run, with the results of earlier attempts.

    Returns:
        JSON values: `run`, `project`, `recipe`, `dataset_version`, `champion` (the version judged against),
        `challenger`, `promoted`, `reason`, `verdict`, `seconds` by step, and counts of the dataset.

    Raises:
        InsufficientData: too few corrections or patients; the message says how many more are needed.
        NeverTrainedFrom: the project must not be trained on.
        Cancelled: raised by `report`.
    """
    retrain_run = RetrainRun(
        name=run,
        request=request,
        recipe=recipe,
        tags=tags,
        context=context,
        ledger=ledger,
        progress=StepProgress(report),
    )
    retrain_run.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    summary = read_summary(retrain_run.folder)
    if summary is not None:  # an earlier attempt ended, and was killed before it could return
        return summary

    ledger.enter("building")
    dataset, opponent = freeze_dataset(retrain_run, require=partial(require_enough_data, rule=recipe.gate))
    folds = Folds.of(dataset, open_image=context.open_image)
    champion = context.registry.files(opponent.version, into=context.models)

    ledger.enter("detector")
    detector = train_detector(retrain_run, folds, start=champion)
    ledger.enter("segmenter")
    segmenter = train_segmenter(retrain_run, folds, start=champion, detector=detector)

    ledger.enter("evaluating")
    version = register_challenger(
        retrain_run, champion, dataset, folds, detector=detector, segmenter=segmenter
    )
    check_precision(retrain_run, version, folds)
    challenger = context.registry.files(version, into=context.models)
    before = evaluate_on_test(retrain_run, "champion", champion, folds)
    after = evaluate_on_test(retrain_run, "challenger", challenger, folds)

    verdict = judge(before, after, rule=recipe.gate, newest=dataset.newest_patients("test"))
    ledger.keep("verdict", verdict.to_json())
    ledger.enter("judged")
    summary = summarize(retrain_run, dataset, champion=champion.version, challenger=version, verdict=verdict)
    pictures = keep_pictures(retrain_run, before, after, verdict, folds.test)
    summary = {**summary, **({PICTURES: pictures} if pictures else {})}
    summary = end_run(summary, verdict, opponent=opponent, ledger=ledger)
    conclude(summary, {"champion": before.to_json(), "challenger": after.to_json()}, context=context)
    return summary
