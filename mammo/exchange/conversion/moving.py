"""Moving: a plan becomes the tasks of a new project, each with its annotations and predictions in one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mammo.dicom.image_header import ImageHeader, read_header
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import ImageNotFound
from mammo.exchange.conversion.plan import HeaderOf, NewTask
from mammo.exchange.exam_importing import exam_identity
from mammo.images.task_images import TaskImages
from mammo.labelstudio.client import LabelStudioClient

BATCH = 5
"""Exams per request; an interrupted conversion loses at most the upload of these, and none in part."""


def converted_exams(tasks: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the data of the tasks of a project, by patient and exam."""
    return {exam_identity(task["data"]): task["data"] for task in tasks}


def headers_in(images: TaskImages, *, patient_secret: bytes) -> HeaderOf:
    """Return a function that reads the header of an image whose DICOM file is on this machine.

    It raises ImageNotFound if the file is missing or has changed since the import (code `image_changed`).
    """

    def header_of(data: Mapping[str, Any]) -> ImageHeader | None:
        path = images.path(data)
        if path is None:
            return None
        header = read_header(
            read_bytes(path, max_bytes=MAX_BYTES),
            path="",
            patient_secret=patient_secret,
            convert_for_processing=data.get("converted") is True,
        )
        if data.get("sha256") not in (None, header.sha256):
            raise ImageNotFound(
                "its DICOM file has changed since it was imported; restore the file", code="image_changed"
            )
        return header

    return header_of


def move_tasks(
    tasks: Iterable[NewTask],
    *,
    client: LabelStudioClient,
    project: int,
    done: Callable[[int], object] = lambda number: None,
) -> int:
    """Create tasks with their annotations and predictions, in order; return their number.

    Args:
        tasks: of a plan.
        client: of the Label Studio server.
        project: the new project.
        done: called with the number of tasks so far.

    Raises:
        LabelStudioError: Label Studio refused a request; what was created before remains, and a new plan omits it.
    """
    waiting, number = list[NewTask](), 0
    for task in tasks:
        waiting.append(task)
        if len(waiting) >= BATCH:
            number += _import(client, project, waiting)
            waiting.clear()
            done(number)
    if waiting:
        number += _import(client, project, waiting)
        done(number)
    return number


def copy_local_storages(client: LabelStudioClient, *, source: int, project: int) -> int:
    """Let Label Studio serve the folders of one project to another as well; return their number."""
    storages = client.call("GET", "/api/storages/localfiles/", params={"project": source})
    for storage in storages:
        client.add_local_storage(project, Path(storage["path"]))
    return len(storages)


def _import(client: LabelStudioClient, project: int, tasks: list[NewTask]) -> int:
    created = client.import_tasks(
        project,
        [task.data for task in tasks],
        predictions=[task.predictions for task in tasks],
        annotations=[task.annotations for task in tasks],
    )
    return len(created)
