"""Adds a site's own images to a set. A bad file is refused with its reason, and the others are added."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo.atomic_files import replacing
from mammo.backgrounds.background import Background, BackgroundSet
from mammo.backgrounds.catalogue import PUBLIC_SETS
from mammo.backgrounds.library import Backgrounds
from mammo.backgrounds.own_image import OwnImageRules, read_own_image
from mammo.backgrounds.patient_table import name_of, read_patients
from mammo.dicom.limits import read_bytes
from mammo.errors import InvalidBackgrounds, MammoError
from mammo.file_names import files_of
from mammo.printable import printable, printable_path

NUM_THREADS = 2
"""Files processed in parallel. Hashing, numpy and PNG release Python's lock, and codecs run in processes."""

SOURCE = "this site's own mammograms"

Wrap = Callable[[Iterable[Any], int], Iterable[Any]]
"""Wraps the finished files, whose number is given, for example in a progress bar."""


@dataclass(frozen=True, kw_only=True)
class OwnSetOptions:
    """What is added to which set."""

    folder: Path
    """Folder of the files; folders below are read too."""

    name: str
    """Of the set, which may exist already."""

    licence: str
    """What the images may be used for, in the site's words."""

    patients: Path | None
    """CSV table with the columns `file`, a path below the folder, and `patient`."""

    rules: OwnImageRules


@dataclass
class Outcome:
    """Result of one run."""

    num_new: int = 0
    num_known: int = 0
    """Images that are in the set already; what is known of their patient and spacing is replaced."""

    refused: list[str] = field(default_factory=list)
    """One message per refused file or row."""


def add_own_set(
    options: OwnSetOptions,
    *,
    library: Backgrounds,
    outcome: Outcome | None = None,
    progress: Wrap = lambda finished, total: finished,
) -> Outcome:
    """Add the images of a folder to a set, two at a time. An interrupted run keeps what it has added.

    Args:
        options: what is added to which set.
        library: the sets of the site.
        outcome: filled in during the run, so that it is available after an exception; None for a new one.
        progress: wraps the finished files.

    Raises:
        InvalidBackgrounds: the name is invalid or that of a public set, or the set has another licence (code
            `other_licence`).
        MammoError: the table of the patients cannot be read.
        StorageUnavailable: the folder of the set cannot be written.
    """
    outcome = Outcome() if outcome is None else outcome
    if options.name in (public.name for public in PUBLIC_SETS):
        raise InvalidBackgrounds(
            f"{options.name} is the name of a public set; choose another --name", code="backgrounds_name"
        )
    files = _files(options, outcome)
    with library.exclusive(options.name) as folder:
        previous = library.find(options.name)
        if previous is not None and previous.licence != options.licence:
            raise InvalidBackgrounds(
                f"the background set {options.name} exists under another licence, {printable(previous.licence)!r}; "
                "give that --licence, or another --name",
                code="other_licence",
            )
        added: dict[int, Background] = {}
        try:
            _add_all(files, options.rules, folder, added=added, outcome=outcome, progress=progress)
        finally:
            _write(options, library, previous, [added[number] for number in sorted(added)], outcome)
    return outcome


def _files(options: OwnSetOptions, outcome: Outcome) -> list[tuple[Path, str | None]]:
    """Return the files of the folder, each with its patient in the table; None if the table does not name it."""
    table = options.patients
    patients = read_patients(table) if table else {}
    # `realpath` does not fail at a circular link.
    ignored = os.path.realpath(table) if table else None
    paths = [path for path in files_of([options.folder]) if os.path.realpath(path) != ignored]
    names = [name_of(path, options.folder) for path in paths]
    outcome.refused += [
        f"the table of patients names {printable(name)}, which is not in the folder"
        for name in sorted(patients.keys() - set(names))
    ]
    return [(path, patients.get(name)) for path, name in zip(paths, names, strict=True)]


def _add_all(
    files: Sequence[tuple[Path, str | None]],
    rules: OwnImageRules,
    folder: Path,
    *,
    added: dict[int, Background],
    outcome: Outcome,
    progress: Wrap,
) -> None:
    """Store the files; fill in `added`, by position, and the refusals, in order."""
    refused: dict[int, str] = {}
    executor = ThreadPoolExecutor(NUM_THREADS)
    try:
        running: dict[Future[Background], int] = {
            executor.submit(_add, path, patient, rules, folder): number
            for number, (path, patient) in enumerate(files)
        }
        for finished in progress(as_completed(running), len(running)):
            number = running[finished]
            try:
                added[number] = finished.result()
            except MammoError as error:
                refused[number] = f"{_safe_name(files[number][0], number, error)}: {error}"
    finally:
        executor.shutdown(cancel_futures=True)
        outcome.refused += [refused[number] for number in sorted(refused)]


def _add(path: Path, patient: str | None, rules: OwnImageRules, folder: Path) -> Background:
    image = read_own_image(read_bytes(path, max_bytes=rules.max_bytes), patient, rules)
    digest = hashlib.sha256(image.content).hexdigest()
    stored = folder / f"{digest}{image.suffix}"
    with replacing(stored, shared=True, mode=0o600, durable=True) as part:
        part.write_bytes(image.content)
    return Background(path=stored, spacing=image.spacing, patient=image.patient, sha256=digest)


def _write(
    options: OwnSetOptions,
    library: Backgrounds,
    previous: BackgroundSet | None,
    added: list[Background],
    outcome: Outcome,
) -> None:
    """Write the index of what was there and what was added, sorted by hash: the order of the files tells nothing."""
    known = {each.sha256: each for each in previous.backgrounds} if previous else {}
    new = {background.sha256: background for background in added}
    for digest in {each.sha256 for each in added if each.patient != new[each.sha256].patient}:
        del new[digest]
        outcome.refused.append(
            f"two files show the same image ({digest[:12]}) of different patients; correct one"
        )
    together = known | new
    outcome.num_known = len(known.keys() & new.keys())
    outcome.num_new = len(new) - outcome.num_known
    for path in {background.path for background in added if background.sha256 not in together}:
        path.unlink()
    if together:
        library.write(
            BackgroundSet(
                name=options.name,
                licence=options.licence,
                source=SOURCE,
                may_ship=False,
                patients_assumed=False,
                backgrounds=tuple(together[digest] for digest in sorted(together)),
            )
        )


def _safe_name(path: Path, number: int, error: MammoError) -> str:
    """Return a file's name for a message: its path, or its number if the path may identify the patient."""
    return f"file {number + 1}, in order of name" if error.code == "identified" else printable_path(path)
