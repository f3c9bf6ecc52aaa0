"""Import: a DICOM mammogram gets an 8-bit twin for people and a Label Studio task that names both.

The twin has the DICOM's exact geometry, because percent coordinates and brush masks depend on it. Its name is the
file's SHA-256, so no patient tag reaches a URL; a file that still names its patient is refused unless that is wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo.atomic_files import replacing
from mammo.dicom import encode_png, take_in
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import MammoError, UnreadableImage
from mammo.images.task_images import task_showing
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags
from mammo.printable import printable_path

TWINS = "twins"
"""Folder of the twins below the folder that Label Studio serves as local files."""

NUM_THREADS = 2
"""Files at a time. Hashing, numpy and PNG leave Python's lock, and codecs run in processes of their own."""

BATCH = 20
"""Tasks made at once: an import that is stopped loses at most these, and only their upload."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is taken although it is refused by default."""

    allow_identified: bool = False
    """Files that still name a person."""

    convert_for_processing: bool = False
    """Raw detector values, made presentable."""


@dataclass
class Outcome:
    """What became of the files of one import."""

    num_new: int = 0
    num_known: int = 0
    refused: list[str] = field(default_factory=list)
    """A line for each file that was not imported."""


def import_mammogram(
    file: Path,
    *,
    root: Path,
    files: Path,
    patient_secret: bytes,
    rules: Rules | None = None,
) -> dict[str, Any]:
    """Write the twin of one DICOM file and describe its task.

    Args:
        file: the DICOM file, below `root`.
        root: the service's `mammogram_root`.
        files: the folder that Label Studio serves as local files; the twin goes into its `twins`.
        patient_secret: key of the patient keys.
        rules: which files are taken that are refused by default.

    Returns:
        The task's `data`: `image` (what people see), `mammogram` (what the model reads, below the root),
        `sha256`, `patient`, `view`, `laterality`, `spacing_mm` as [row, column]; and `converted`, true, when
        raw detector values were made presentable.

    Raises:
        UnreadableImage: not a mammogram we accept, `no_patient`, `identified` or `named_path`.
        ValueError: the file does not lie below the root.
        OSError: the twin cannot be written.
    """
    data = read_bytes(file, max_bytes=MAX_BYTES)
    return _described(
        data, file, root=root, files=files, patient_secret=patient_secret, rules=rules or Rules()
    )


def import_files(
    paths: Sequence[Path],
    *,
    project: int,
    client: LabelStudioClient,
    root: Path,
    twins: Path,
    patient_secret: bytes,
    tags: ControlTags,
    rules: Rules | None = None,
    outcome: Outcome | None = None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda done, total: done,
) -> Outcome:
    """Import files into a project, two at a time; a file whose content is already there is passed over.

    Args:
        paths: files; the order decides only the numbers in messages.
        tags: of the project, whose labeling config says under which key a task holds its image.
        outcome: is filled in as it goes, so that it can be told where something stops the import; None: a new one.
        progress: wraps the finished files, with their number, to show how far it is.
    """
    known = {str(task["data"].get("sha256")) for task in client.tasks(project)}
    outcome = Outcome() if outcome is None else outcome
    waiting = list[dict[str, Any]]()

    def describe(file: Path) -> dict[str, Any] | None:
        data = read_bytes(file, max_bytes=MAX_BYTES)
        if hashlib.sha256(data).hexdigest() in known:
            return None
        return _described(
            data, file, root=root, files=twins, patient_secret=patient_secret, rules=rules or Rules()
        )

    executor = ThreadPoolExecutor(NUM_THREADS)
    try:
        running: dict[Future[dict[str, Any] | None], int] = {
            executor.submit(describe, file): number for number, file in enumerate(paths)
        }
        for done in progress(as_completed(running), len(running)):
            try:
                data = done.result()
            except (MammoError, ValueError, OSError) as error:
                number = running[done]
                outcome.refused.append(f"{_shown(paths[number], number, error)}: {_sentence(error)}")
                continue
            if data is None or data["sha256"] in known:
                outcome.num_known += 1
                continue
            known.add(data["sha256"])
            waiting.append(task_showing(data, tags=tags))
            if len(waiting) >= BATCH:
                outcome.num_new += len(client.import_tasks(project, waiting))
                waiting.clear()
        if waiting:
            outcome.num_new += len(client.import_tasks(project, waiting))
    finally:
        executor.shutdown(cancel_futures=True)
    return outcome


def _described(
    data: bytes, file: Path, *, root: Path, files: Path, patient_secret: bytes, rules: Rules
) -> dict[str, Any]:
    path = file.resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError("the file does not lie below YOLO_MLSAM_MAMMOGRAM_ROOT")
    reference = path.relative_to(root.resolve()).as_posix()
    found = take_in(
        data,
        path=reference,
        patient_secret=patient_secret,
        convert_for_processing=rules.convert_for_processing,
    )
    if found.named_in_path:
        raise UnreadableImage(
            "its path contains the patient's name, ID or birth date, and the path becomes part of the task; "
            "rename it or run `yolo-mlsam deidentify`",
            code="named_path",
        )
    if found.identifying and not rules.allow_identified:
        raise UnreadableImage(
            f"it names a person in {', '.join(found.identifying)}, and PatientIdentityRemoved is not YES; "
            "run `yolo-mlsam deidentify`, or give --allow-identified if this is wanted",
            code="identified",
        )
    if found.patient is None:
        raise UnreadableImage(
            "the file names no patient, so its views could end up on both sides of a split; set PatientID",
            code="no_patient",
        )
    twin = files / TWINS / f"{found.sha256}.png"
    if not twin.exists():
        twin.parent.mkdir(parents=True, exist_ok=True)
        with replacing(twin, shared=True) as part:
            part.write_bytes(encode_png(found.twin))
    spacing = found.spacing
    described = {
        "image": f"/data/local-files/?d={TWINS}/{twin.name}",
        "mammogram": reference,
        "sha256": found.sha256,
        "patient": found.patient,
        "view": found.view,
        "laterality": found.laterality,
        "spacing_mm": [spacing.row_mm, spacing.column_mm] if spacing else None,
    }
    return described | ({"converted": True} if found.converted else {})


def _shown(file: Path, number: int, error: Exception) -> str:
    """How a message names a file: by its path, but by its number when the file is known to name a person."""
    if getattr(error, "code", "") in ("identified", "named_path"):
        return f"file {number + 1}, in order of name"
    return printable_path(file)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"its twin cannot be written: {error.strerror or error}"
    return str(error)
