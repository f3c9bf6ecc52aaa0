"""Import: every DICOM mammogram becomes a Label Studio task that names the file and its 8-bit twin.

A file that identifies its patient is refused unless the rules allow it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo.dicom import read_intake
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import MammoError, UnreadableImage
from mammo.exchange.task_data import require_deidentified, task_data, write_twin
from mammo.images.task_images import task_showing
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags
from mammo.printable import printable_path

NUM_THREADS = 2
"""Files processed in parallel. Hashing, numpy and PNG release Python's lock, and codecs run in processes."""

BATCH = 20
"""Tasks per request; an interrupted import loses at most the upload of these."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Files that are accepted although they are refused by default."""

    allow_identified: bool = False
    """Files that identify their patient."""

    convert_for_processing: bool = False
    """Files with raw detector values, which are converted for presentation."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Folders, secret and rules of an import."""

    root: Path
    """The service's `mammogram_root`; the DICOM files lie below it."""

    twins: Path
    """The folder that Label Studio serves as local files."""

    patient_secret: bytes
    """Secret of the patient keys."""

    rules: Rules = field(default_factory=Rules)


@dataclass
class Outcome:
    """Result of an import."""

    num_new: int = 0
    """Files that became tasks."""

    num_known: int = 0
    """Files whose content is in the project already."""

    num_annotations: int = 0
    """Files that are no images but annotations of images: DICOM Segmentations, and JSON as of `phantom`."""

    refused: list[str] = field(default_factory=list)
    """One message per refused file."""

    listed: list[str] = field(default_factory=list)
    """One message per image that belongs to no exam; empty where tasks show one image."""


def import_mammogram(
    file: Path,
    *,
    root: Path,
    files: Path,
    patient_secret: bytes,
    rules: Rules | None = None,
) -> dict[str, Any]:
    """Write the twin of a DICOM file; return the data of its task.

    Args:
        file: the DICOM file, below `root`.
        root: the service's `mammogram_root`.
        files: the folder that Label Studio serves as local files.
        patient_secret: secret of the patient keys.
        rules: files to accept; None for the default rules.

    Returns:
        As `task_data`; and `converted`, true, when raw detector values were converted for presentation.

    Raises:
        UnreadableImage: the file is not a supported mammogram, has no patient (code `no_patient`), or identifies its
            patient (codes `identified` and `named_path`).
        ValueError: the file is not below the root.
        OSError: the twin cannot be written.
    """
    options = ImportOptions(root=root, twins=files, patient_secret=patient_secret, rules=rules or Rules())
    return describe(read_bytes(file, max_bytes=MAX_BYTES), file, options)


def import_files(
    paths: Sequence[Path],
    *,
    project: int,
    client: LabelStudioClient,
    tags: ControlTags,
    options: ImportOptions,
    outcome: Outcome | None = None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda finished, total: finished,
) -> Outcome:
    """Import files into a project, two at a time. A file whose content is in the project already is skipped.

    Args:
        paths: the files; their order determines the numbers in messages.
        project: project id.
        client: of the Label Studio server.
        tags: control tags of the project, which determine the key of a task's image.
        options: folders, secret and rules.
        outcome: filled in during the import, so that it is available after an exception; None for a new one.
        progress: wraps the finished files; called with these and the number of files.

    Raises:
        LabelStudioError: Label Studio refused a request.
    """
    imported = set(images_of(client.tasks(project)))
    outcome = Outcome() if outcome is None else outcome
    waiting = list[dict[str, Any]]()

    def data_of(file: Path) -> dict[str, Any] | None:
        content = read_bytes(file, max_bytes=MAX_BYTES)
        return None if hashlib.sha256(content).hexdigest() in imported else describe(content, file, options)

    def send() -> None:
        tasks = [task_showing(data, tags=tags) for data in by_patient_and_view(waiting)]
        outcome.num_new += len(client.import_tasks(project, tasks))
        waiting.clear()

    executor = ThreadPoolExecutor(NUM_THREADS)
    try:
        running: dict[Future[dict[str, Any] | None], int] = {
            executor.submit(data_of, file): number for number, file in enumerate(paths)
        }
        for finished in progress(
            running, len(running)
        ):  # in the order of the paths, so that task ids are stable
            try:
                data = finished.result()
            except (MammoError, ValueError, OSError) as error:
                number = running[finished]
                if is_annotation(paths[number], error):
                    outcome.num_annotations += 1
                    continue
                outcome.refused.append(refusal(paths[number], number, error))
                continue
            if data is None or data["sha256"] in imported:
                outcome.num_known += 1
                continue
            imported.add(data["sha256"])
            waiting.append(data)
            if len(waiting) >= BATCH:
                send()
        if waiting:
            send()
    finally:
        executor.shutdown(cancel_futures=True)
    return outcome


def by_patient_and_view(described: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Order the data of tasks by patient, in the order of their first images, then by laterality and view."""
    patients = {data["patient"]: number for number, data in reversed(list(enumerate(described)))}
    return sorted(
        described,
        key=lambda data: (patients[data["patient"]], data["laterality"] or "", data["view"] or ""),
    )


def is_annotation(file: Path, error: Exception) -> bool:
    """Whether a refused file holds annotations of images, and so is no image that was lost."""
    code = getattr(error, "code", "")
    return code == "segmentation" or (code == "not_an_image" and file.suffix.lower() == ".json")


def images_of(tasks: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the SHA-256 of every image of tasks, with the id of its task: of one-image tasks and of exams."""
    known: dict[str, int] = {}
    for task in tasks:
        for key, value in task["data"].items():
            if key == "sha256" or key.endswith("_sha256"):
                for each in value if isinstance(value, list) else [value]:
                    known.setdefault(str(each), int(task["id"]))
    return known


def below_root(file: Path, root: Path) -> str:
    """Return the path of a file below the service's `mammogram_root`, as a task states it.

    Raises:
        ValueError: the file is not below the root.
    """
    path, folder = file.resolve(), root.resolve()
    if not path.is_relative_to(folder):
        raise ValueError("the file is not below YOLO_MLSAM_MAMMOGRAM_ROOT; move it there")
    return path.relative_to(folder).as_posix()


def describe(content: bytes, file: Path, options: ImportOptions) -> dict[str, Any]:
    """Write the twin of a file that was read; return the data of its task. Raises as `import_mammogram`."""
    mammogram = below_root(file, options.root)
    intake = read_intake(
        content,
        path=mammogram,
        patient_secret=options.patient_secret,
        convert_for_processing=options.rules.convert_for_processing,
    )
    require_deidentified(intake, allow_identified=options.rules.allow_identified)
    if intake.patient is None:
        raise UnreadableImage(
            "the file has no PatientID, so views of one patient could be on both sides of a split; set PatientID",
            code="no_patient",
        )
    data = task_data(
        intake,
        image=write_twin(intake, options.twins, spacing=intake.spacing),
        mammogram=mammogram,
        patient=intake.patient,
        spacing=intake.spacing,
    )
    return data | ({"converted": True} if intake.converted else {})


def refusal(file: Path, number: int, error: Exception) -> str:
    """Return the message of a refused file; number: of the file, from 0, in order of name."""
    is_identified = getattr(error, "code", "") in ("identified", "named_path")
    return f"{safe_name(file, number, is_identified=is_identified)}: {_message(error)}"


def safe_name(file: Path, number: int, *, is_identified: bool) -> str:
    """Return a file's name for a message: its path, or its number if the path may identify the patient."""
    return f"file {number + 1}, in order of name" if is_identified else printable_path(file)


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"its twin cannot be written: {error.strerror or error}"
    return str(error)
