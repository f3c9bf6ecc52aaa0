"""Adds a public set: each file is downloaded, or copied from a folder, and checked against its SHA-256."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx

from mammo.atomic_files import replacing
from mammo.backgrounds.background import BackgroundSet
from mammo.backgrounds.catalogue import PublicImage, PublicSet
from mammo.backgrounds.library import Backgrounds
from mammo.errors import FileUnavailable, WrongFile
from mammo.pinned_files import fetch, verify

Progress = Callable[[int, int], None]
"""Told the bytes of the set that are here, and the bytes there will be."""


def add_public_set(
    public: PublicSet,
    *,
    library: Backgrounds,
    given: Path | None,
    progress: Progress = lambda received, total: None,
    client: httpx.Client | None = None,
) -> BackgroundSet:
    """Have all files of a public set. Files that are there and right stay; others are fetched again.

    Args:
        given: folder with files of these names, in place of downloads.
        client: for a server with certificates of its own.

    Raises:
        WrongFile: a file is not what its hash promises.
        FileUnavailable: a file is not in `given` (code `offline`), or could not be fetched.
        InvalidBackgrounds: another process adds or removes the set now.
        StorageUnavailable: the folder cannot be written.
    """
    if given is not None:
        _check_given(public, given)
    received, total = 0, public.size
    with library.exclusive(public.name) as folder:
        for image in public.images:
            path = folder / image.file.file_name
            if not _is_whole(path, image):
                path.unlink(missing_ok=True)
                if given is not None:
                    _copy(given / path.name, path)
                else:

                    def report(here: int, _: int | None, before: int = received) -> None:
                        progress(before + here, total)

                    fetch(image.file, folder, progress=report, allow_network=True, client=client)
            received += image.size
            progress(received, total)
        backgrounds = public.within(folder)
        library.write(backgrounds)
    return backgrounds


def _check_given(public: PublicSet, given: Path) -> None:
    """Check all given files before the first is copied."""
    missing = [image.file for image in public.images if not (given / image.file.file_name).is_file()]
    if missing:
        raise FileUnavailable(
            f"--from lacks {len(missing)} of the {len(public.images)} files of {public.name}: "
            f"{', '.join(file.file_name for file in missing)}; the first is published at {missing[0].url}",
            code="offline",
        )
    for image in public.images:
        verify(given / image.file.file_name, sha256=image.sha256, size=image.size)


def _copy(source: Path, target: Path) -> None:
    with replacing(target, mode=0o600, durable=True) as part:
        shutil.copyfile(source, part)


def _is_whole(path: Path, image: PublicImage) -> bool:
    try:
        verify(path, sha256=image.sha256, size=image.size)
    except WrongFile:
        return False
    return True
