"""Public files that are pinned by SHA-256: fetched in pieces if need be, and checked before they get their names."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx

from mammo.blobs import SHA256, hash_file
from mammo.errors import FileUnavailable, StorageUnavailable, WrongFile

Progress = Callable[[int, int | None], None]
"""Told the bytes that are here and, when known, the bytes there will be."""

MAX_BYTES = 4 * 2**30
"""No file may be larger, whatever its server says."""

MAX_REDIRECTS = 5
MAX_ATTEMPTS = 5
"""Connections in a row that may bring nothing new before a download is given up."""

MAX_CONNECTIONS = 200
"""Connections of one download in all."""

_TIMEOUT = httpx.Timeout(30.0, connect=15.0)
_PAUSE = 0.5
_HOMES = {
    "github.com": ("github.com", "githubusercontent.com"),
    "huggingface.co": ("huggingface.co", "hf.co"),
}
"""Where a server may send us on to; any other server only to itself."""


@dataclass(frozen=True, kw_only=True)
class PinnedFile:
    """One file that somebody published."""

    name: str
    """What messages call it."""

    url: str
    """Always https."""

    size: int | None
    """Bytes; None where we know no exact figure."""

    sha256: str | None
    """None where we know no figure to trust: the person who adds the file has to give it."""

    note: str = ""

    by_hand: str
    """What to do with the file if it was fetched elsewhere, such as `give the file with --file`."""

    @property
    def file_name(self) -> str:
        return urlsplit(self.url).path.rsplit("/", 1)[-1]


def fetch(
    pinned: PinnedFile,
    folder: Path,
    *,
    progress: Progress,
    allow_network: bool,
    client: httpx.Client | None = None,
) -> Path:
    """Have a verified file, downloading what is missing of it.

    A download goes on where an earlier one stopped. The file appears under its name only after its hash is right.

    Args:
        folder: created when missing, open to its owner only.
        allow_network: without it, only a file that is already there will do.
        client: for a server with certificates of its own.

    Raises:
        WrongFile: the content is not what the hash promises, or no hash is known.
        FileUnavailable: it is not here and could not be fetched (codes `offline`, `download_failed`,
            `download_refused`, `download_busy`).
        StorageUnavailable: the folder cannot be written.
    """
    if pinned.sha256 is None:
        raise WrongFile(
            f"{pinned.name}: we know no SHA-256 of {pinned.url} to trust. {pinned.note} Learn it from a source you "
            "trust and give it with --sha256",
            code="unknown_hash",
        )
    path = folder / pinned.file_name
    if path.is_file():
        verify(path, sha256=pinned.sha256, size=pinned.size)
        return path
    if not allow_network:
        raise FileUnavailable(
            f"{pinned.name}: {path} is not there and downloading is off. Fetch {pinned.url} on another machine and "
            f"{pinned.by_hand}",
            code="offline",
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if client is not None:
            return _fetch(client, pinned, path, progress)
        with httpx.Client(timeout=_TIMEOUT) as own:
            return _fetch(own, pinned, path, progress)
    except OSError as error:
        raise StorageUnavailable(
            f"{pinned.name}: {folder} cannot be written ({type(error).__name__}); is the disk full, or read-only?"
        ) from error


def _fetch(client: httpx.Client, pinned: PinnedFile, path: Path, progress: Progress) -> Path:
    partial = path.with_name(f"{path.name}.partial")
    digest = pinned.sha256 or ""
    with partial.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileUnavailable(
                f"{pinned.name}: another process is downloading it to {partial}; wait for that one",
                code="download_busy",
            ) from None
        if path.is_file():  # finished by another process while we came here
            verify(path, sha256=digest, size=pinned.size)
            return path
        leftover = file.seek(0, os.SEEK_END) > 0
        while True:
            _download(client, pinned, file, progress)
            file.flush()
            os.fsync(file.fileno())
            try:
                verify(partial, sha256=digest, size=pinned.size)
                break
            except WrongFile:
                if not leftover:
                    partial.unlink(missing_ok=True)
                    raise
                file.truncate(0)  # the leftover may be of another file: once more, from the start
                leftover = False
        partial.replace(path)
    return path


def verify(path: Path, *, sha256: str, size: int | None = None) -> str:
    """Check a file against what it should be; returns its SHA-256.

    Raises:
        WrongFile: it is missing (code `missing_file`), or has another size or content (code `wrong_hash`).
        ValueError: `sha256` is none.
    """
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"a SHA-256 is 64 hexadecimal digits in lower case, got {sha256!r}")
    try:
        found = path.stat().st_size
        if size is not None and found != size:
            raise WrongFile(
                f"{path.name}: expected {size} bytes, found {found}; delete the file and get it again",
                code="wrong_hash",
            )
        digest = hash_file(path)
    except OSError as error:
        raise WrongFile(
            f"{path.name} cannot be read ({type(error).__name__}); check the path", code="missing_file"
        ) from error
    if digest != sha256:
        raise WrongFile(
            f"{path.name}: expected SHA-256 {sha256}, found {digest}. The file is not what it claims to be: do not use "
            "it; delete it and get it again",
            code="wrong_hash",
        )
    return digest


def _download(client: httpx.Client, pinned: PinnedFile, file: BinaryIO, progress: Progress) -> None:
    """Bring the rest of a file; a cut connection is taken up again where it was cut."""
    limit = MAX_BYTES if pinned.size is None else pinned.size
    failures = 0
    for connection in range(MAX_CONNECTIONS):
        start = file.seek(0, os.SEEK_END)
        if start > limit:
            file.truncate(0)
            start = 0
        if start == pinned.size:
            return
        try:
            if _receive(client, pinned, file, start, limit, progress):
                return
            problem = "the connection ended early"
        except httpx.TransportError as error:
            problem = f"{type(error).__name__}: {error}"
        failures = failures + 1 if file.seek(0, os.SEEK_END) <= start else 0
        if failures >= MAX_ATTEMPTS or connection == MAX_CONNECTIONS - 1:
            raise FileUnavailable(
                f"{pinned.name}: {pinned.url} cannot be fetched now ({problem}). What came is kept and the next try "
                f"goes on from it; without a network, fetch it elsewhere and {pinned.by_hand}",
                code="download_failed",
            )
        time.sleep(_PAUSE * failures)


def _receive(
    client: httpx.Client,
    pinned: PinnedFile,
    file: BinaryIO,
    start: int,
    limit: int,
    progress: Progress,
) -> bool:
    """Append one answer of the server to the file; True when the file is then whole."""
    url = pinned.url
    for _ in range(MAX_REDIRECTS + 1):
        _check(pinned, url)
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        with client.stream("GET", url, headers=headers, follow_redirects=False) as answer:
            if answer.has_redirect_location:
                url = urljoin(url, answer.headers["location"])
                continue
            if answer.status_code == 416:  # nothing behind what we have: it was another file, begin again
                file.truncate(0)
                return False
            if answer.status_code >= 500:
                raise httpx.RemoteProtocolError(f"the server answered {answer.status_code}")
            if answer.status_code not in (200, 206):
                raise FileUnavailable(
                    f"{pinned.name}: {urlsplit(url).hostname} answered {answer.status_code} for {pinned.url}; it may "
                    f"have moved: fetch it by hand and {pinned.by_hand}",
                    code="download_refused",
                )
            return _append(answer, pinned, file, limit, progress)
    raise FileUnavailable(
        f"{pinned.name}: {pinned.url} redirects more than {MAX_REDIRECTS} times", code="download_refused"
    )


def _append(
    answer: httpx.Response, pinned: PinnedFile, file: BinaryIO, limit: int, progress: Progress
) -> bool:
    begin, total = _extent(answer)
    if begin != file.seek(0, os.SEEK_END):
        file.truncate(0)  # the server starts over
        if begin:
            return False
    if total is not None and (total > limit or (pinned.size is not None and total != pinned.size)):
        file.truncate(0)
        raise FileUnavailable(
            f"{pinned.name}: the server offers {total} bytes, expected {pinned.size or f'at most {limit}'}; it is "
            "another file: refused",
            code="download_refused",
        )
    here = begin
    for (
        chunk
    ) in answer.iter_raw():  # no chunk size: what waits for a full chunk would be lost with the connection
        here += len(chunk)
        if here > limit:
            file.truncate(0)
            raise FileUnavailable(
                f"{pinned.name}: the server sends more than the {limit} bytes of the file: refused",
                code="download_refused",
            )
        file.write(chunk)
        progress(here, total or pinned.size)
    return total is None or here == total


def _extent(answer: httpx.Response) -> tuple[int, int | None]:
    """First byte of an answer in its file, and the size of the file where the server says it."""
    if answer.status_code == 200:
        length = answer.headers.get("content-length", "")
        return 0, int(length) if length.isdecimal() else None
    unit, _, rest = answer.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdecimal():
        raise httpx.RemoteProtocolError("the server answers a range without saying which")
    return int(first), int(total) if total.isdecimal() else None


def _check(pinned: PinnedFile, url: str) -> None:
    home, there = urlsplit(pinned.url), urlsplit(url)
    allowed = _HOMES.get(home.hostname or "", (home.hostname or "",))
    host = there.hostname or ""
    known = any(host == name or host.endswith(f".{name}") for name in allowed)
    if there.scheme != "https" or not known:
        raise FileUnavailable(
            f"{pinned.name}: refused to follow {there.scheme}://{host}; allowed: https to {', '.join(allowed)}",
            code="download_refused",
        )
