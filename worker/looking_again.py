"""The search for labels that are probably wrong: predict what has no usable prediction, compare, and record doubts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mammo.errors import ModelNotFound
from mammo.models import CHAMPION
from mammo.models.starter_files import starter_files
from mammo.prelabelling import TaskPrelabeller
from mammo.readers import overlaps
from mammo.second_looks import LabelDoubt
from mammo.site import Site
from training.datasets.versions import DatasetVersion, newest_dataset_version
from training.second_look import DoubtedLabel, second_look
from training.second_look.differing import differing
from training.second_look.predicting import predict_tasks, tasks_to_predict
from training.second_look.unlearned import Lineage

MAX_DOUBTS = 2000
"""Strongest doubts that are recorded; every confirmed lesion has a faint one about its outline."""

Report = Callable[[str, float, str], None]


def look_again(project: int, *, predictions: int, site: Site, report: Report) -> dict[str, Any]:
    """Record the doubts about the labels of a project's newest dataset version; those that were sent back stay.

    Args:
        predictions: most tasks that are predicted, because no stored prediction of them may be used.
        report: called with stage, progress in [0, 1] and message; may raise to stop.

    Returns:
        `dataset_version`, and the number of `images`, of those `compared`, of `doubts`, of tasks `predicted`, `failed`
        and `left` without a prediction.

    Raises:
        ModelNotFound: the project has no dataset version.
        LabelStudioError: Label Studio cannot be reached or refuses.
    """
    site.second_looks.settle(project)
    dataset = newest_dataset_version(project, engine=site.engine, blobs=site.blobs)
    lineage = Lineage(site.registry, site.blobs)
    counts = _predict(dataset, lineage, predictions, site, report)
    report("comparing", 0.9, "comparing labels and predictions")
    tags = site.tags(project)
    look = second_look(
        dataset,
        store=site.store,
        lineage=lineage,
        tags=tags,
        hasty={(each.annotation, each.image) for each in site.efforts(project).records if each.hasty},
    )
    differ = differing(overlaps(project, store=site.store, records=site.reading_records, tags=tags))
    doubts = [*_current(look.labels, dataset.project, site), *differ]
    doubts.sort(key=lambda each: -each.score)
    num_open = site.second_looks.records.replace(project, doubts[:MAX_DOUBTS])
    return {
        "dataset_version": dataset.name,
        "images": look.num_images,
        "compared": look.num_compared,
        "doubts": num_open,
        **counts,
    }


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
