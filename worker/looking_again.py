"""The search for labels that are probably wrong: predict what has no usable prediction, compare, and record doubts.

No image is compared with a prediction by a model that has learned from its patient. Without folds, older models predict
the patients that the serving model has learned from, which costs no training; with folds, `training.out_of_fold` trains
a model for each fold of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import redis

from mammo.errors import Cancelled, InsufficientData, ModelNotFound
from mammo.models import CHAMPION
from mammo.models.starter_files import starter_files
from mammo.prelabelling import TaskPrelabeller
from mammo.readers import overlaps
from mammo.runs.payloads import LookAgain
from mammo.second_looks import LabelDoubt
from mammo.site import Site
from training.datasets.versions import DatasetVersion, newest_dataset_version
from training.second_look import DoubtedLabel, Predictions, second_look, stored_predictions
from training.second_look.differing import differing
from training.second_look.predicting import predict_tasks, tasks_to_predict
from training.second_look.unlearned import Lineage

MAX_DOUBTS = 2000
"""Strongest doubts that are recorded; every confirmed lesion has a faint one about its outline."""

CANCEL_SECONDS = 2.0
"""How often a search looks whether it is cancelled."""

Report = Callable[[str, float, str], None]


def look_again(order: LookAgain, *, site: Site, report: Report) -> dict[str, Any]:
    """Record the doubts about the labels of a project's newest dataset version; those that were sent back stay.

    Args:
        report: called with stage, progress in [0, 1] and message; may raise to stop.

    Returns:
        `dataset_version`, `serving` (the version that serves the project), `learned` (tasks that it has learned from),
        `skipped` (images without a prediction, by reason), `folds`, and the number of `images`, of those `compared` and
        of `doubts`. Without folds also the number of tasks `predicted`, `failed` and `left` without a prediction; with
        folds also `seed`, `base` and `recipe`.

    Raises:
        ModelNotFound: the project has no dataset version.
        InsufficientData: there are too few patients for the folds, or no version that learned from none of them.
        LabelStudioError: Label Studio cannot be reached or refuses.
    """
    project = order.project
    site.second_looks.settle(project)
    dataset = newest_dataset_version(project, engine=site.engine, blobs=site.blobs)
    lineage = Lineage(site.registry, site.blobs)
    tags = site.tags(project)
    if order.folds:
        predictions, facts = _out_of_fold(order, dataset, lineage, site, report)
    else:
        facts = _predict(dataset, lineage, order.predictions, site, report)
        predictions = stored_predictions(dataset, store=site.store, lineage=lineage, tags=tags)
    report("comparing", 0.9, "comparing labels and predictions")
    hasty = {(each.annotation, each.image) for each in site.efforts(project).records if each.hasty}
    look = second_look(dataset, predictions, hasty=hasty)
    differ = differing(overlaps(project, store=site.store, records=site.reading_records, tags=tags))
    doubts = [*_current(look.labels, dataset.project, site), *differ]
    doubts.sort(key=lambda each: -each.score)
    serving = site.serving(project)
    found = {
        "dataset_version": dataset.name,
        "images": look.num_images,
        "compared": look.num_compared,
        "skipped": look.skipped,
        "serving": serving,
        "learned": tasks_learned(dataset, lineage.patients(serving)),
        "folds": order.folds,
        **facts,
    }
    num_open = site.second_looks.records.replace(project, doubts[:MAX_DOUBTS], search=found)
    return {**found, "doubts": num_open}


def tasks_learned(dataset: DatasetVersion, patients: Collection[str] | None) -> list[int]:
    """Return the tasks from which a model has learned; all, if it is not known from which patients it learned."""
    return sorted({each.task_id for each in dataset.items if patients is None or each.patient in patients})


def stoppable(report: Report, cancelled_by: Callable[[], str | None]) -> Report:
    """Return a report that raises Cancelled once somebody has cancelled the search."""
    asked_at = -CANCEL_SECONDS

    def tell(stage: str, progress: float, message: str) -> None:
        nonlocal asked_at
        report(stage, progress, message)
        if time.monotonic() - asked_at < CANCEL_SECONDS:
            return
        asked_at = time.monotonic()
        try:
            actor = cancelled_by()
        except redis.RedisError:  # hours of training do not end for it
            return
        if actor is not None:
            raise Cancelled(f"cancelled by {actor}; the same search goes on with the fold where it was")

    return tell


def _out_of_fold(
    order: LookAgain, dataset: DatasetVersion, lineage: Lineage, site: Site, report: Report
) -> tuple[Predictions, dict[str, Any]]:
    """Predict all images by models that were trained for it; returns how, too."""
    from training.out_of_fold import FoldPlan, out_of_fold_predictions  # brings torch in
    from training.provisional.recipes import PROVISIONAL_RECIPES
    from worker.retraining import retrain_context

    patients = {item.patient for item in dataset.items}
    base = next((each for each in _champions(site) if _is_new_to(each, patients, lineage)), None)
    if base is None:
        raise InsufficientData(
            "no model version is known to have learned from none of these patients, so none can be fine-tuned without "
            "a fold; `yolo-mlsam models list` shows those of this site, and the starter learned from no patient"
        )
    recipe = "provisional-smoke" if site.settings.recipe == "smoke" else "provisional"
    plan = FoldPlan(folds=order.folds, seed=order.seed, base=base, recipe=recipe)
    context = retrain_context(site)
    predictions = out_of_fold_predictions(
        dataset,
        plan,
        base=site.registry.files(base, into=site.settings.models),
        recipe=PROVISIONAL_RECIPES[recipe],
        networks=context.networks,
        open_image=context.open_image,
        folder=site.settings.runs / f"look-again-{order.project}-{dataset.name[:12]}-{plan.key}",
        progress=lambda share, message: report("out of fold", 0.9 * share, message),
    )
    return predictions, plan.to_json()


def _is_new_to(version: str, patients: Collection[str], lineage: Lineage) -> bool:
    learned = lineage.patients(version)
    return learned is not None and learned.isdisjoint(patients)


def _predict(
    dataset: DatasetVersion, lineage: Lineage, limit: int, site: Site, report: Report
) -> dict[str, int]:
    """Predict the tasks that need it, model by model; stops after `limit` tasks."""
    project = dataset.project
    chosen = tasks_to_predict(dataset, store=site.store, lineage=lineage, champions=_champions(site))
    total = sum(len(tasks) for tasks in chosen.values())
    planned, done, failed = min(total, limit), 0, 0
    config = site.client.project(project)["label_config"] if planned else ""
    for version, tasks in chosen.items():
        mine = tasks[: planned - done]
        if not mine:
            break
        prelabeller = TaskPrelabeller.of(
            site.load_model(version),
            project=project,
            config=config,
            settings=site.settings,
            open_image=site.images.open,
            store=site.store,
        )
        before = done
        failed += predict_tasks(
            mine,
            prelabeller,
            project=project,
            data=lambda task: dict(site.client.task(task)["data"]),
            progress=lambda number, before=before: report(  # type: ignore[misc]
                "predicting", 0.9 * (before + number) / planned, f"{before + number} of {planned} tasks"
            ),
        )
        done += len(mine)
    return {"predicted": done - failed, "failed": failed, "left": total - done}


def _champions(site: Site) -> list[str]:
    """Return the versions that were champion, the newest first, then the starter."""
    moves = [move.version for move in reversed(site.registry.history(CHAMPION))]
    try:
        starter = site.registry.manifest(starter_files().version) and [starter_files().version]
    except ModelNotFound:
        starter = []
    return list(dict.fromkeys([*moves, *starter]))


def _current(labels: Sequence[DoubtedLabel], project: int, site: Site) -> list[LabelDoubt]:
    """Return the doubts about annotations that are still as the dataset version has them."""
    wanted = {label.annotation for label in labels}
    revisions = {
        header.annotation_id: header.revision
        for header in site.store.correction_headers(project)
        if header.annotation_id in wanted
    }
    hashes = {row: each.content_hash for row, each in site.store.contents(sorted(revisions.values())).items()}
    return [
        LabelDoubt(
            task=label.task,
            annotation=label.annotation,
            image=label.image,
            revision=revisions[label.annotation],
            cause=label.cause,
            score=label.score,
            box=label.box,
            distance_mm=label.distance_mm,
            model_version=label.model_version,
        )
        for label in labels
        if label.score > 0
        and label.annotation in revisions
        and hashes[revisions[label.annotation]] == label.content_hash
    ]
