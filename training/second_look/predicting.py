"""Predictions of a dataset version's tasks by models that did not learn from their patients.

Each task is predicted by the newest champion that learned from none of its patients, and failing that by the starter,
which learned from no patient at all. So no prediction is of an image that its model has learned from, without training
a model per fold; what it costs is that an older model predicts the patients of the training fold. See
`training.out_of_fold` for models that have learned from the project, but not from the patient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from mammo.annotations import AnnotationStore
from mammo.errors import ImageUnavailable, LabelStudioError, MammoError
from mammo.prelabelling import TaskPrelabeller
from training.datasets.items import Item, is_about_one_image
from training.datasets.versions import DatasetVersion
from training.second_look.predictions import unlearned_predictions, unusable
from training.second_look.unlearned import Lineage

log = structlog.get_logger()


def tasks_to_predict(
    dataset: DatasetVersion, *, store: AnnotationStore, lineage: Lineage, champions: Sequence[str]
) -> dict[str, list[int]]:
    """Return the tasks without a usable prediction, by the model version that may predict them.

    Args:
        store: the annotation store.
        champions: versions that may predict, preferred first.
    """
    predicted = unlearned_predictions(dataset, store=store, lineage=lineage)
    by_task: dict[int, list[Item]] = {}
    for item in dataset.items:
        by_task.setdefault(item.task_id, []).append(item)
    chosen: dict[str, list[int]] = {}
    for task, items in sorted(by_task.items()):
        if not unusable(predicted.get(task), items):
            continue
        patients = {item.patient for item in items}
        for version in champions:
            learned = lineage.patients(version)
            if learned is not None and not learned & patients:
                chosen.setdefault(version, []).append(task)
                break
    return chosen


def predict_tasks(
    tasks: Sequence[int],
    prelabeller: TaskPrelabeller,
    *,
    project: int,
    data: Callable[[int], dict[str, Any]],
    progress: Callable[[int], None],
) -> int:
    """Predict tasks and store the predictions, which annotators do not see; returns how many could not be predicted.

    Args:
        data: returns the data of a task.
        progress: called with the number of tasks that are done; may raise to stop.

    Raises:
        ImageUnavailable, StorageUnavailable: no task can be predicted now.
    """
    failed = 0
    for number, task in enumerate(tasks, start=1):
        try:
            prelabeller.record(task, prelabeller.predict(task, data(task)), project=project, shown=False)
        except MammoError as error:
            if isinstance(error, ImageUnavailable | LabelStudioError) or not is_about_one_image(error):
                raise
            failed += 1
            log.warning("task not predicted", task=task, code=error.code)
        progress(number)
    return failed
