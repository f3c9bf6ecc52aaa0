"""Backgrounds: the sets of a site, each a folder with its images and an index.

    backgrounds/monai/index.json
    backgrounds/monai/sample_A1.jpg       a published image under its own name
    backgrounds/ours/<SHA-256>.dcm        a site's own image under the SHA-256 of what is stored

They are no blobs: `models gc` deletes every blob that the database does not name, and the images can be added again.
"""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mammo.backgrounds.background import BackgroundSet
from mammo.backgrounds.index_file import INDEX, read_index, write_index
from mammo.errors import InvalidBackgrounds, StorageUnavailable
from mammo.printable import printable

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""Names of sets, which become folders."""


class Backgrounds:
    """The background sets of a site. Reading makes no folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sets(self) -> list[BackgroundSet]:
        """Return all sets, by name.

        Raises:
            InvalidBackgrounds: an index is damaged.
        """
        return [read_index(index.parent) for index in sorted(self.folder.glob(f"*/{INDEX}"))]

    def find(self, name: str) -> BackgroundSet | None:
        """Return the set of that name, if there is one; raises InvalidBackgrounds: its index is damaged."""
        folder = self.folder / checked_name(name)
        return read_index(folder) if (folder / INDEX).is_file() else None

    def get(self, name: str) -> BackgroundSet:
        """Return the set of that name.

        Raises:
            InvalidBackgrounds: there is none (code `unknown_backgrounds`), or its index is damaged.
        """
        backgrounds = self.find(name)
        if backgrounds is None:
            raise self._unknown(name)
        return backgrounds

    def remove(self, name: str) -> None:
        """Delete a set and its files, also what an interrupted `add` left of it.

        Raises:
            InvalidBackgrounds: there is no such set (code `unknown_backgrounds`), or another process changes it now.
            StorageUnavailable: the folder cannot be written.
        """
        if not (self.folder / checked_name(name)).is_dir():
            raise self._unknown(name)
        with self.exclusive(name) as folder:
            (folder / INDEX).unlink(missing_ok=True)  # first: what is left of a killed removal is no set
            shutil.rmtree(folder)

    @contextmanager
    def exclusive(self, name: str) -> Iterator[Path]:
        """Yield the folder of a set, made if it is missing, in which no other process adds or removes now.

        Raises:
            InvalidBackgrounds: the name is invalid, or another process changes the set (code `backgrounds_busy`).
            StorageUnavailable: the folder cannot be written.
        """
        folder = self.folder / checked_name(name)
        try:
            for each in (self.folder.parent, self.folder):  # the mode is that of the last folder only
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.folder / f".{name}.lock").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise InvalidBackgrounds(
                        f"another process adds or removes the background set {name}; try again when it has finished",
                        code="backgrounds_busy",
                    ) from None
                folder.mkdir(mode=0o700, exist_ok=True)
                try:
                    yield folder
                finally:
                    if folder.is_dir() and not any(folder.iterdir()):
                        folder.rmdir()
        except OSError as error:
            raise StorageUnavailable(
                f"the background set {name} cannot be written ({type(error).__name__}); is the disk full, or read-only?"
            ) from error

    def write(self, backgrounds: BackgroundSet) -> None:
        """Write the index of a set whose files lie in its folder, then delete the files that it does not name.

        The caller holds `exclusive`. Raises OSError: the folder cannot be written.
        """
        folder = self.folder / backgrounds.name
        write_index(backgrounds, folder)
        named = {background.path.name for background in backgrounds.backgrounds} | {INDEX}
        for path in folder.iterdir():
            if path.name not in named:
                path.unlink()

    def _unknown(self, name: str) -> InvalidBackgrounds:
        names = ", ".join(index.parent.name for index in sorted(self.folder.glob(f"*/{INDEX}"))) or "none"
        return InvalidBackgrounds(
            f"there is no background set {name}; there are: {names}. "
            "Add one with `yolo-mlsam backgrounds add`",
            code="unknown_backgrounds",
        )


def checked_name(name: str) -> str:
    """Return the name of a set.

    Raises:
        InvalidBackgrounds: it cannot be the name of a set (code `backgrounds_name`).
    """
    if not NAME.fullmatch(name):
        raise InvalidBackgrounds(
            "expected as name of a background set 1 to 40 lower-case letters, digits, dashes and underscores, "
            f"got {printable(name)!r}",
            code="backgrounds_name",
        )
    return name
