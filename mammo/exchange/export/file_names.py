"""What an exported image is called: a path that leads back to it, after which files of other kinds are named too."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

LOCAL_FILES, DATA = "/data/local-files", "/data/"
MAX_PART = 200
"""Longest part of a path, in bytes: file systems take 255, and endings are put behind it."""


def path_of(reference: str) -> str:
    """The path in an address that a task names, decoded, with its folders and without what signs it.

    /data/local-files/?d=a%20b/c.png        a b/c.png
    /data/upload/3/1a2b3c4d-c.png           upload/3/1a2b3c4d-c.png
    s3://bucket/a/c.png                     bucket/a/c.png
    https://host/a/c.png?signature=...      host/a/c.png
    """
    parts = urlsplit(reference)
    if parts.path.rstrip("/") == LOCAL_FILES:
        return harmless(parse_qs(parts.query).get("d", [""])[0])
    path = unquote(parts.path)
    if not parts.scheme:
        return harmless(path.removeprefix(DATA))
    return harmless(f"{parts.netloc.rpartition('@')[2]}/{path}")


def harmless(path: str) -> str:
    """A path below any folder: nothing that leads out of it, moves a cursor, or is too long for a file system."""
    parts = [_part(part) for part in path.replace("\\", "/").split("/")]
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def shown_reference(reference: str) -> str:
    """The address without its query where that may be a signature, and without a password."""
    parts = urlsplit(reference)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return reference


class FileNames:
    """Names of files after images: the image's path without its ending, and with a number where that is taken."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, file_name: str) -> str:
        """A path without an ending; no two are alike, on file systems that ignore case neither."""
        path = PurePosixPath(harmless(file_name) or "image")
        plain = path.with_suffix("").as_posix() if path.stem else path.as_posix()
        name, number = plain, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name.casefold())
        return name


def _part(text: str) -> str:
    visible = "".join(each if each.isprintable() else "_" for each in text).strip()
    cut = visible.encode("utf-8", "replace")[:MAX_PART].decode("utf-8", "ignore")
    return cut if cut in (".", "..") else cut.rstrip(".")
