"""fetch: one GET request, limited in bytes, time and rate, that follows only redirects accepted by its caller."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

import httpcore
import httpx

from mammo.errors import ImageNotFound, ImageUnavailable
from mammo.images.downloads.addresses import AddressRule
from mammo.images.downloads.hosts import Hosts, Purpose
from mammo.images.downloads.network import GuardedNetwork, Resolve, resolve
from mammo.images.downloads.transfer_rate import TooSlow, TransferRate
from mammo.labelstudio.connection import trusted_certificates

MAX_REDIRECTS = 4
REDIRECTS = frozenset({301, 302, 303, 307, 308})

PERMANENT = frozenset({400, 401, 403, 404, 405, 410, 451})
"""Status codes that a repeated request would return again; other errors may be temporary."""

IN_MEMORY = 8 * 2**20
"""Bytes of a content that are kept in memory; a longer one is written to a temporary file."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one download."""

    max_bytes: int
    deadline: float
    """On the clock of `time.monotonic`; for all of it: name resolution, connections, redirects and content."""

    bytes_per_second: float
    """Least rate of an answer, after a grace period; see `TransferRate`. 0: any."""

    purpose: Purpose
    """Whose places of a host it may occupy."""

    folder: Path | None = None
    """Folder of the temporary files of long contents; None for the system's."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One request of a chain of redirects."""

    url: httpx.URL
    rule: AddressRule
    headers: Mapping[str, str]
    """Sent with this request only."""

    service: str = ""
    """Part of the server that may be slow by itself; it has its own places."""

    @property
    def host(self) -> str:
        """Host and port, and the service: what has places, and may be slow."""
        name = self.url.netloc.decode("ascii")
        return f"{name} ({self.service})" if self.service else name


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The response; `content` is None when the cached content is still current (304)."""

    content: IO[bytes] | None
    """At its beginning; to be closed by the caller."""

    etag: str
    last_modified: str


Follow = Callable[[Hop, httpx.URL], Hop]
"""Returns the next hop for a redirect, or raises ImageNotFound (code `foreign_image`)."""


def fetch(
    start: Hop,
    *,
    limits: Limits,
    follow: Follow,
    hosts: Hosts,
    etag: str = "",
    last_modified: str = "",
    resolve: Resolve = resolve,
) -> Fetched:
    """Download the content of a URL.

    Args:
        start: the first request.
        limits: of the whole download.
        follow: called before each redirect.
        hosts: the places of every host, and what was slow.
        etag, last_modified: validators of cached content; the server may answer that it is still current.
        resolve: resolves host names.

    Raises:
        ImageNotFound: the image is refused (code `blocked_address`, `foreign_image`, `too_large`, `encoded` or
            `no_image`), or the server refuses it (code `image_http_<status>`).
        ImageUnavailable: the server fails, is too slow (code `image_too_slow`, `slow_image` or `slow_host`), or does
            not answer in time.
    """
    image = str(start.url)
    hosts.require_not_slow(image, host=start.host)
    validators: dict[str, str] = {}
    if etag or last_modified:
        validators = {"if-none-match": etag} if etag else {"if-modified-since": last_modified}
    hop = start
    for _ in range(MAX_REDIRECTS + 1):
        host = hop.host
        try:
            with hosts.place(host, purpose=limits.purpose, deadline=limits.deadline):
                response = _get(hop, validators, limits=limits, resolve=resolve)
        except TooSlow as slow:
            hosts.note_slow(host, image, slow)
            raise _unavailable(host, slow, limits) from None
        if isinstance(response, Fetched):
            hosts.note_sound(host)
            return response
        hop = follow(hop, response)
    raise ImageNotFound(
        f"an image at {start.url.host} is behind more than {MAX_REDIRECTS} redirects", code="foreign_image"
    )


def _get(hop: Hop, validators: Mapping[str, str], *, limits: Limits, resolve: Resolve) -> Fetched | httpx.URL:
    """Send one request; return its response, or the target of its redirect; raises TooSlow too."""
    rate = TransferRate(bytes_per_second=limits.bytes_per_second, deadline=limits.deadline)
    network = GuardedNetwork(hop.rule, rate=rate, resolve=resolve)
    # Responses are not decompressed, because a small one could become huge.
    headers = [("host", hop.url.netloc.decode("ascii")), ("accept-encoding", "identity")]
    headers += [*validators.items(), *hop.headers.items()]
    url = httpcore.URL(
        scheme=hop.url.raw_scheme, host=hop.url.raw_host, port=hop.url.port, target=hop.url.raw_path
    )
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls_context(), network_backend=network) as pool,
            pool.stream("GET", url, headers=headers) as response,
        ):
            return _read(response, hop.url, limits=limits)
    except TooSlow:
        raise
    except httpcore.ConnectTimeout:
        raise rate.timed_out() from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
        raise ImageUnavailable(
            f"an image at {hop.url.host} could not be downloaded in time ({type(error).__name__}); check that the "
            "server is running and answers this machine",
            code="image_timeout" if isinstance(error, httpcore.TimeoutException) else "image_unreachable",
        ) from None


def _unavailable(host: str, slow: TooSlow, limits: Limits) -> ImageUnavailable:
    sent = f"{slow.num_bytes} bytes in {slow.seconds:.0f} s"
    if not slow.num_bytes:
        return ImageUnavailable(
            f"{host} does not answer a request for an image: {sent}; check that the server is running and answers this "
            "machine",
            code="image_timeout",
        )
    return ImageUnavailable(
        f"an image at {host} arrives too slowly: {sent}, expected at least {limits.bytes_per_second:.0f} bytes per "
        "second (YOLO_MLSAM_DOWNLOAD_BYTES_PER_SECOND); check the server and the network to it",
        code="image_too_slow",
    )


def _read(response: httpcore.Response, url: httpx.URL, *, limits: Limits) -> Fetched | httpx.URL:
    headers = httpx.Headers([(name, value) for name, value in response.headers])
    if response.status in REDIRECTS and headers.get("location"):
        return join(url, headers["location"])
    validators = {"etag": headers.get("etag", ""), "last_modified": headers.get("last-modified", "")}
    if response.status == 304:
        return Fetched(content=None, **validators)
    if response.status != 200:
        message = f"an image could not be downloaded: {url.host} answered {response.status}"
        code = f"image_http_{response.status}"
        raise (ImageNotFound if response.status in PERMANENT else ImageUnavailable)(message, code=code)
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise ImageNotFound(
            f"{url.host} sends an image with the content encoding {headers['content-encoding'][:20]}; configure it "
            "to send images without compression",
            code="encoded",
        )
    if headers.get("content-type", "").lower().startswith("text/html"):
        raise ImageNotFound(
            f"expected an image from {url.host}, got a web page; check that the API key has access to the project",
            code="no_image",
        )
    stated = headers.get("content-length", "0")
    if stated.isdigit() and int(stated) > limits.max_bytes:
        raise _too_large(url, limits)
    return Fetched(content=_content(response, url, limits=limits), **validators)


def _content(response: httpcore.Response, url: httpx.URL, *, limits: Limits) -> IO[bytes]:
    """Return the content of a response, in memory or in a temporary file without a name."""
    folder = str(limits.folder) if limits.folder and limits.folder.is_dir() else None
    content: IO[bytes] = SpooledTemporaryFile(IN_MEMORY, dir=folder)  # noqa: SIM115 - the caller closes it
    try:
        num_bytes = 0
        for chunk in response.iter_stream():
            num_bytes += len(chunk)
            if num_bytes > limits.max_bytes:
                raise _too_large(url, limits)
            _store(content, chunk)
        content.seek(0)
    except BaseException:
        content.close()
        raise
    return content


def _store(content: IO[bytes], chunk: bytes) -> None:
    try:
        content.write(chunk)
    except OSError as error:
        raise ImageUnavailable(
            f"a downloaded image cannot be written to the disk: {error.strerror}; free some space",
            code="download_not_stored",
        ) from None


def _too_large(url: httpx.URL, limits: Limits) -> ImageNotFound:
    return ImageNotFound(
        f"expected an image of at most {limits.max_bytes} bytes, got a larger one from {url.host}",
        code="too_large",
    )


def join(base: httpx.URL, reference: str) -> httpx.URL:
    """Resolve a reference to an absolute http(s) URL.

    Raises:
        ImageNotFound: it is not such a URL, or contains a user name or password (code `foreign_image`).
    """
    try:
        url = base.join(reference)
        plain = url.scheme in ("http", "https") and bool(url.host) and not url.userinfo
    except (httpx.InvalidURL, ValueError):
        plain = False  # A ValueError is a host name that is invalid by IDNA.
    if not plain:
        raise ImageNotFound(
            "expected an image's address to be an http(s) URL without user name and password",
            code="foreign_image",
        )
    return url


@cache
def _tls_context() -> ssl.SSLContext:
    return trusted_certificates()
