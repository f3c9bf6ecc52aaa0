"""Prelabel a project: a prediction of one model version for every task that has none yet, pushed one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from mammo.annotations import AnnotationStore
from mammo.errors import MammoError
from mammo.findings import Finding
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.predictions import prediction
from mammo.task_images import of_task
from training.dataset_versions import is_about_one_image

if TYPE_CHECKING:
    from mammo.dicom import Mammogram

log = structlog.get_logger()


class Prelabels(Protocol):
    version: str

    def prelabel(self, mammogram: Mammogram, *, threshold: float | None = None) -> list[Finding]: ...


class LabelStudio(Protocol):
    def project(self, project: int) -> dict[str, Any]: ...

    def tasks(self, project: int) -> Iterable[dict[str, Any]]: ...

    def predictions(self, task: int) -> list[dict[str, Any]]: ...

    def push_prediction(self, task: int, prediction: Mapping[str, Any]) -> int: ...

    def set_model_version(self, project: int, version: str) -> None: ...


def prelabel_tasks(
    project: int,
    prelabeller: Prelabels,
    *,
    client: LabelStudio,
    store: AnnotationStore,
    open_image: Callable[[Mapping[str, Any]], Mammogram],
    report: Callable[[str, float, str], None],
    threshold: float | None = None,
) -> dict[str, Any]:
    """Predict what is not predicted yet, then show this version to annotators. A second call does the rest.

    An image that cannot be read leaves its task without a prediction, and the others go on.

    Args:
        threshold: least detector score in this project; None: the model's operating point.

    Returns:
        `version`, `predicted`, `already` and `failed` (tasks by error code).

    Raises:
        LabelStudioError: Label Studio is gone or refuses; what was pushed stays.
        StorageUnavailable: our copy of a prediction could not be kept.
    """
    version = prelabeller.version
    tags = ControlTags.read(client.project(project)["label_config"])
    tasks = list(client.tasks(project))
    failed: Counter[str] = Counter()
    predicted = already = 0
    for index, task in enumerate(tasks, 1):
        number = task["id"]
        if any(known.get("model_version") == version for known in client.predictions(number)):
            already += 1
        else:
            try:
                mammogram = open_image(of_task(number, task["data"]))
                findings = prelabeller.prelabel(mammogram, threshold=threshold)
            except MammoError as error:
                if not is_about_one_image(error):
                    raise
                failed[error.code] += 1
                log.warning("task_not_prelabelled", task=number, code=error.code)
            else:
                proposal = prediction(findings, size=mammogram.size, tags=tags, model_version=version)
                # Our copy first: a prediction that annotators see and we do not know could never be evaluated.
                store.record_prelabel(
                    project=project,
                    task=number,
                    model_version=version,
                    regions=proposal["result"],
                    score=proposal["score"],
                    image_sha256=mammogram.sha256,
                )
                client.push_prediction(number, proposal)
                predicted += 1
        report("prelabel", index / len(tasks), f"{index} of {len(tasks)} tasks")
    if predicted or already:
        client.set_model_version(project, version)
    return {"version": version, "predicted": predicted, "already": already, "failed": dict(failed)}
