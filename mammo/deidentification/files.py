"""De-identification of many files into a folder, with a report.

Neither file names nor report tell which output came from which input, because such a table would undo the
de-identification. The key is never stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo.atomic_files import replacing
from mammo.deidentification.deidentify import Deidentified, Deidentifier
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import MammoError

FLAGGED = "needs-a-human"
"""Subfolder for files whose pixels a person must check before they are shared."""

REPORT = "report.json"
NUM_THREADS = 2


@dataclass
class Outcome:
    """Result of one run, without the names of the inputs."""

    written: list[str] = field(default_factory=list)
    """Names of the new files, relative to the output folder."""

    flagged: dict[str, str] = field(default_factory=dict)
    """Name of a new file that a person must check -> concern (`text` or `no_breast`)."""

    num_blanked: int = 0
    """Number of pixels blanked outside breasts."""

    refused: dict[int, str] = field(default_factory=dict)
    """Position of an input, from 1 -> error code and message."""


def deidentify_files(
    files: Sequence[Path],
    *,
    out: Path,
    key: bytes,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda completed, total: completed,
) -> Outcome:
    """De-identify files, two at a time, into a folder. A second run writes the same names again.

    A file that cannot be de-identified or written is refused, and the others go on.

    Args:
        key: secret of the pseudonyms, at least 16 bytes.
        progress: wraps the completed files and their total number, for example in a progress bar.

    Raises:
        ValueError: the key is shorter than 16 bytes.
    """
    deidentify, outcome = Deidentifier(key), Outcome()

    def deidentify_file(file: Path) -> tuple[str, Deidentified]:
        result = deidentify(read_bytes(file, max_bytes=MAX_BYTES))
        name = f"{FLAGGED}/{result.name}.dcm" if result.concern else f"{result.name}.dcm"
        _write(out / name, result.content)
        return name, result

    executor = ThreadPoolExecutor(NUM_THREADS)
    try:
        running = {executor.submit(deidentify_file, file): number for number, file in enumerate(files, 1)}
        for future in progress(as_completed(running), len(running)):
            try:
                name, result = future.result()
            except MammoError as error:
                outcome.refused[running[future]] = f"{error.code}: {error}"
                continue
            except OSError as error:
                outcome.refused[running[future]] = f"not_written: it cannot be written: {error.strerror}"
                continue
            outcome.written.append(name)
            outcome.num_blanked += result.num_blanked
            if result.concern:
                outcome.flagged[name] = result.concern
    finally:
        executor.shutdown(cancel_futures=True)
    return outcome


def write_report(outcome: Outcome, *, out: Path) -> None:
    """Write the outcome as `report.json` into the output folder."""
    report = {
        "written": sorted(outcome.written),
        "flagged": dict(sorted(outcome.flagged.items())),
        "blanked_pixels": outcome.num_blanked,
        "refused": len(outcome.refused),
    }
    _write(out / REPORT, json.dumps(report, indent=2).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, shared=True) as part:
        part.write_bytes(content)
