"""ImagePaths: the paths at which Label Studio serves the images of tasks. Its token is sent to no other.

    /data/upload/PROJECT/NAME                         uploaded files
    /data/local-files/?d=PATH                         files of a local storage
    /tasks/ID/resolve/?fileuri=URI                    files of a cloud storage; also /presign/ and /projects/ID/
    /storage-data/uploaded/?filepath=upload/...       uploaded files, if Label Studio stores them in a cloud

Whoever may create tasks chooses the addresses in them. An address is decoded once, compared with these forms, and
written again from its parts, so that the server receives exactly what was checked. What a second decoding, or a proxy
that resolves dots, slashes and parameters, could turn into another path is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes

import httpx

_NAME = r"(?!\.{1,2}(?:/|$))[^/\\%;?#\x00-\x1f\x7f]+"
"""A segment of a path: neither `.` nor `..`, and without characters that have a meaning in URLs."""

_UPLOAD = re.compile(rf"/data/upload/(?:{_NAME}/){{0,2}}{_NAME}")
_UNIQUE = re.compile(r"/data/upload/[0-9]+/[0-9a-f]{8}-[^/]+")
"""An uploaded file whose name is unique, so that its content never changes."""

_RESOLVE = re.compile(r"/(?:tasks|projects)/[0-9]{1,18}/(?:resolve|presign)")
_QUERIES = {"/data/local-files": "d", "/storage-data/uploaded": "filepath"}
"""Only parameter of the paths that name a file in the query."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_DECODINGS = 4

FORMS = (
    "/data/upload/..., /data/local-files/?d=..., /tasks/ID/resolve/?fileuri=... and /storage-data/uploaded/"
)
"""For messages."""


@dataclass(frozen=True)
class ImagePath:
    """The address of an image on Label Studio's server."""

    url: httpx.URL
    is_unique: bool
    """Whether its content never changes."""

    resolves: bool
    """Whether Label Studio may redirect it to a cloud storage."""


class ImagePaths:
    """Recognises the addresses of images on one Label Studio server."""

    def __init__(self, origin: httpx.URL, *, public: httpx.URL | None = None) -> None:
        """
        Args:
            origin: the server's address, which may contain a path, with a trailing slash.
            public: its address from browsers; None if it has no other.
        """
        self._origin = origin
        self._public = public

    def serves(self, url: httpx.URL) -> bool:
        """Whether a URL has scheme, host and port of the server or of its public address."""
        return same_origin(url, self._origin) or (self._public is not None and same_origin(url, self._public))

    def image(self, url: httpx.URL) -> ImagePath | None:
        """Return the address of an image; None for any other address.

        Label Studio writes addresses with and without the path that it is served under, and with its public host. The
        result always begins with the server's own address.
        """
        if not self.serves(url) or url.userinfo:
            return None
        path = _decoded(url.raw_path.partition(b"?")[0])
        if path is None:
            return None
        addresses = [self._origin, *([self._public] if self._public is not None else [])]
        for prefix in (*(each.path.rstrip("/") for each in addresses), ""):
            if path.startswith(f"{prefix}/") and (found := self._below(path[len(prefix) :], url.query)):
                return found
        return None

    def resolver(self, task: int, uri: str) -> httpx.URL:
        """Return the address at which Label Studio resolves the address of a file in a cloud storage for a task.

        Args:
            uri: the file's address in base64, with the alphabet for URLs.
        """
        return self._at(f"/tasks/{task}/resolve/", {"fileuri": uri})

    def _below(self, path: str, query: bytes) -> ImagePath | None:
        if _UPLOAD.fullmatch(path):
            unique = _UNIQUE.fullmatch(path) is not None
            return None if query else ImagePath(self._at(path), is_unique=unique, resolves=False)
        path = path.removesuffix("/")
        is_resolver = _RESOLVE.fullmatch(path) is not None
        name = "fileuri" if is_resolver else _QUERIES.get(path)
        value = _only(query, name) if name else None
        if name is None or value is None:
            return None
        if not is_resolver and not _is_file(value, upload=name == "filepath"):
            return None
        return ImagePath(self._at(f"{path}/", {name: value}), is_unique=False, resolves=is_resolver)

    def _at(self, path: str, query: dict[str, str] | None = None) -> httpx.URL:
        encoded = quote(path) + "".join(f"?{name}={quote(value)}" for name, value in (query or {}).items())
        return self._origin.join(encoded.lstrip("/"))


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether scheme, host and port are equal."""
    ports = {"http": 80, "https": 443}
    return (one.scheme, one.host, one.port or ports.get(one.scheme)) == (
        other.scheme,
        other.host,
        other.port or ports.get(other.scheme),
    )


def _decoded(path: bytes) -> str | None:
    """Return a path with its percent-encoding decoded once; None if it is not UTF-8."""
    try:
        return unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return None


def _only(query: bytes, name: str) -> str | None:
    """Return the value of the only parameter of a query; None if there are others, or if it is empty or not text."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        return None
    if len(pairs) != 1 or pairs[0][0] != name or not pairs[0][1] or _CONTROL.search(pairs[0][1]):
        return None
    return pairs[0][1]


def _is_file(value: str, *, upload: bool) -> bool:
    """Whether a parameter names a file, however often it is decoded: without `..`, an upload below `upload/`."""
    for _ in range(MAX_DECODINGS):
        if "\\" in value or ".." in value.split("/") or _CONTROL.search(value):
            return False
        if upload and not value.startswith("upload/"):
            return False
        decoded = unquote(value)
        if decoded == value:
            return True
        value = decoded
    return False
