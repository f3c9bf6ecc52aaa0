"""Import from a PACS: images that were found become files, and complete studies become tasks.

A study is imported once all its mammograms have arrived: an exam must not look as if a view had not been taken.
Whatever ends an import, the same import continues it: files that are there are not retrieved again, and tasks are not
made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Engine

from mammo.audit import append
from mammo.database import writing
from mammo.errors import MammoError, PacsError
from mammo.pacs.query import FoundImage
from mammo.pacs.retrieving import Retrieved

GOES_ON = frozenset(
    {
        "pacs_truncated", "pacs_not_found", "pacs_content_type", "pacs_multipart", "pacs_empty", "too_large",
        "pacs_other_instance", "pacs_other_patient", "pacs_http_406", "pacs_too_large",
    }
)  # fmt: skip
"""Codes of errors that concern one image; after any other the PACS is asked for nothing more."""


@dataclass
class PacsOutcome:
    """Result of an import, without anything that names a patient: images are counted from 1, in the order found."""

    num_new: int = 0
    """Images that were retrieved."""

    num_present: int = 0
    """Images whose files were there already."""

    skipped: dict[str, int] = field(default_factory=dict)
    """Reason -> number of images that were not asked for."""

    refused: list[str] = field(default_factory=list)
    """One message for each image that could not be retrieved or read."""

    flagged: list[Path] = field(default_factory=list)
    """Files that a person must look at first: text over the breast, or no breast was found."""

    num_incomplete: int = 0
    """Studies that were not imported because an image of them is missing or flagged."""

    files: list[Path] = field(default_factory=list)
    """Files of complete studies."""


def retrieve_studies(
    images: Sequence[FoundImage],
    retrieve: Callable[[FoundImage], Retrieved],
    *,
    connections: int,
    outcome: PacsOutcome,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda finished, total: finished,
) -> PacsError | None:
    """Retrieve images, several at once; return the error that ended this before its time, if any.

    Args:
        images: as `find` yields them.
        retrieve: makes the file of one image; see `Retriever`.
        connections: images that are retrieved at once.
        outcome: filled in during the import, so that it is available after an exception.
        progress: wraps the finished images; called with these and their number.
    """
    wanted = [each for each in images if not each.skipped]
    for each in images:
        if each.skipped:
            outcome.skipped[each.skipped] = outcome.skipped.get(each.skipped, 0) + 1
    files: dict[str, list[Path]] = {each.study: [] for each in wanted}
    incomplete, failure = set[str](), None
    executor = ThreadPoolExecutor(connections, thread_name_prefix="pacs")
    try:
        running: list[Future[Retrieved]] = [executor.submit(retrieve, each) for each in wanted]
        for number, finished in enumerate(progress(running, len(running))):
            study = wanted[number].study
            try:
                retrieved = finished.result()
            except PacsError as error:
                incomplete.add(study)
                outcome.refused.append(f"image {number + 1} of {len(wanted)}: {error}")
                if error.code not in GOES_ON:
                    failure = error
                    incomplete |= {each.study for each in wanted[number:]}
                    break
            except (MammoError, OSError) as error:
                incomplete.add(study)
                reason = (
                    f"it cannot be written: {error.strerror}" if isinstance(error, OSError) else str(error)
                )
                outcome.refused.append(f"image {number + 1} of {len(wanted)}: {reason}")
            else:
                outcome.num_new += retrieved.state == "new"
                outcome.num_present += retrieved.state == "present"
                if retrieved.state == "flagged":
                    incomplete.add(study)
                    outcome.flagged.append(retrieved.path)
                files[study].append(retrieved.path)
    finally:
        executor.shutdown(cancel_futures=True)
    outcome.num_incomplete = len(incomplete)
    outcome.files = [path for study, paths in files.items() if study not in incomplete for path in paths]
    return failure


def record_retrieval(
    engine: Engine, outcome: PacsOutcome, *, project: int, actor: str, keeps_identity: bool
) -> None:
    """Record in the audit trail that images were retrieved, if any were: how many, and not whose."""
    if not outcome.num_new:
        return
    kind = "with the patient's identity" if keeps_identity else "de-identified"
    with writing(engine) as connection:
        append(
            connection,
            actor=actor,
            action="images retrieved",
            subject=f"project {project}",
            reason=f"{outcome.num_new} images from the PACS, {kind}",
        )
