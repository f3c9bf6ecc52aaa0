"""Names of exported files: the path of the image, as found in its address."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

LOCAL_FILES, DATA = "/data/local-files", "/data/"
MAX_PART = 200
"""Maximum length of a path component, in bytes; file systems allow 255, and suffixes are appended."""


def path_of(reference: str) -> str:
    """Return the decoded path in the address of an image, without signatures.

    /data/local-files/?d=a%20b/c.png        a b/c.png
    /data/upload/3/1a2b3c4d-c.png           upload/3/1a2b3c4d-c.png
    s3://bucket/a/c.png                     bucket/a/c.png
    https://host/a/c.png?signature=...      host/a/c.png
    """
    parts = urlsplit(reference)
    if parts.path.rstrip("/") == LOCAL_FILES:
        return safe_path(parse_qs(parts.query).get("d", [""])[0])
    path = unquote(parts.path)
    if not parts.scheme:
        return safe_path(path.removeprefix(DATA))
    return safe_path(f"{parts.netloc.rpartition('@')[2]}/{path}")


def safe_path(path: str) -> str:
    """Return a relative path that stays in its folder, is printable, and has components of at most `MAX_PART` bytes."""
    parts = [_part(part) for part in path.replace("\\", "/").split("/")]
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def without_secrets(reference: str) -> str:
    """Return an address without its password, and without the query of an http(s) URL, which may be a signature."""
    parts = urlsplit(reference)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return reference


class FileNames:
    """Assigns unique file names: an image's path without suffix, and a number if the name is taken."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, file_name: str) -> str:
        """Return a path without suffix that differs from all earlier ones, also without regard to case."""
        path = PurePosixPath(safe_path(file_name) or "image")
        stem = path.with_suffix("").as_posix() if path.stem else path.as_posix()
        name, number = stem, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return name


def _part(text: str) -> str:
    visible = "".join(each if each.isprintable() else "_" for each in text).strip()
    cut = visible.encode("utf-8", "replace")[:MAX_PART].decode("utf-8", "ignore")
    return cut if cut in (".", "..") else cut.rstrip(".")
