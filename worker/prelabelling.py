"""Prelabel a project: a prediction of one model version for every task that has none yet, pushed one by one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog

from mammo.errors import ImageUnavailable, LabelStudioError, MammoError
from mammo.labelstudio.client import LabelStudioClient
from mammo.prelabelling import ImagePrelabeller, TaskPrelabeller
from mammo.site import Site
from training.datasets.items import is_about_one_image

PAUSES = (1.0, 5.0, 20.0)
"""How long to wait for Label Studio before each new attempt, in seconds."""

AWAY = 5
"""So many images in a row whose server does not answer: it is not the images."""

log = structlog.get_logger()


def prelabel_tasks(
    project: int,
    prelabeller: ImagePrelabeller,
    *,
    site: Site,
    report: Callable[[str, float, str], None],
    withheld: Callable[[int, int, Mapping[str, Any]], str | None],
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Predict what is not predicted yet, then show this version to annotators. A second call does the rest.

    Tasks that nobody has annotated come first: somebody may be waiting for them. Each is pushed before the next is
    begun, so a kill loses at most one. Predictions of other versions stay. An image that cannot be read leaves its task
    without a prediction, and the others go on.

    Args:
        withheld: says of project, task and its data why annotators get no prelabel of it; None: they get one. What
            the model says of a withheld task is kept and not pushed.

    Returns:
        `version`, `predicted`, `already`, `withheld` and `failed` (tasks by error code).

    Raises:
        LabelStudioError: Label Studio is gone or refuses; what was pushed stays.
        ImageUnavailable: the server of the images is gone.
        StorageUnavailable: our copy of a prediction could not be kept.
    """
    version, client = prelabeller.version, site.client
    described = client.project(project)
    tasks = TaskPrelabeller.of(
        prelabeller,
        project=project,
        config=described["label_config"],
        settings=site.settings,
        open_image=site.images.open,
        store=site.store,
    )
    total = int(described.get("task_number") or 0)
    failed: Counter[str] = Counter()
    predicted = already = silent = away = index = 0
    for index, task in enumerate(_unread_first(client, project), 1):
        number = task["id"]
        if task.get("total_predictions") != 0 and _has(client, number, version):
            already += 1
        else:
            shown = withheld(project, number, task["data"]) is None
            try:
                # With a threshold of its own a project may have changed it since: what is shown is made anew.
                kept = (
                    tasks.recorded(number, task["data"], project=project)
                    if tasks.threshold is None or not shown
                    else None
                )
                if kept is not None:
                    made = {"result": kept.regions, "score": kept.score, "model_version": version}
                    if shown:
                        site.store.show_prelabel(project, number, version)
                else:
                    made, images = tasks.predict(number, task["data"])
                    tasks.record(number, made, images, project=project, shown=shown)
            except MammoError as error:
                away = away + 1 if isinstance(error, ImageUnavailable) else 0
                if away == AWAY or not (away or is_about_one_image(error)):
                    raise
                failed[error.code] += 1
                log.warning("task_not_prelabelled", task=number, code=error.code)
            else:
                away = 0
                if shown:
                    _push(client, number, made, version, wait=wait)
                    predicted += 1
                else:
                    silent += 1
        report("prelabel", min(index / max(total, index), 1.0), f"{index} of {max(total, index)} tasks")
    if index:
        report("prelabel", 1.0, f"{index} of {index} tasks")
    if predicted or already:
        client.set_model_version(project, version)
    return {
        "version": version,
        "predicted": predicted,
        "already": already,
        "withheld": silent,
        "failed": dict(failed),
    }


def _unread_first(client: LabelStudioClient, project: int) -> Iterator[dict[str, Any]]:
    """Every task once, page by page; one that is annotated meanwhile, or is no longer, is not passed over."""
    done: set[int] = set()
    for unread_only in (True, False):
        for task in client.tasks(project):
            if task["id"] in done or (unread_only and task.get("total_annotations")):
                continue
            done.add(task["id"])
            yield task


def _has(client: LabelStudioClient, task: int, version: str) -> bool:
    return any(known.get("model_version") == version for known in client.predictions(task))


def _push(
    client: LabelStudioClient,
    task: int,
    made: Mapping[str, Any],
    version: str,
    *,
    wait: Callable[[float], None],
) -> None:
    """Push a prediction once, through a restart or a locked database of Label Studio.

    After a failure it may be there all the same: so look first, and push again only if it is not.
    """
    for pause in (*PAUSES, None):
        try:
            client.push_prediction(task, made)
        except LabelStudioError as error:
            if pause is None or not _passing(error):
                raise
        else:
            return
        wait(pause)
        try:
            if _has(client, task, version):
                return
        except LabelStudioError as error:
            if not _passing(error):
                raise


def _passing(error: LabelStudioError) -> bool:
    """Whether it may be over in a moment."""
    return error.code == "label_studio_unreachable" or error.code.startswith("label_studio_5")
