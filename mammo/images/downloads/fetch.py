"""fetch: one GET request, limited in bytes and time, that follows only redirects accepted by its caller."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import httpcore
import httpx

from mammo.errors import ImageNotFound, ImageUnavailable
from mammo.images.downloads.addresses import AddressRule
from mammo.images.downloads.network import GuardedNetwork, Resolve, resolve
from mammo.labelstudio.connection import trusted_certificates

MAX_REDIRECTS = 4
REDIRECTS = frozenset({301, 302, 303, 307, 308})

PERMANENT = frozenset({400, 401, 403, 404, 405, 410, 451})
"""Status codes that a repeated request would return again; other errors may be temporary."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one download."""

    max_bytes: int
    seconds: float
    """For the whole download: name resolution, connections, redirects and content."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One request of a chain of redirects."""

    url: httpx.URL
    rule: AddressRule
    headers: Mapping[str, str]
    """Sent with this request only."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The response; `content` is None when the cached content is still current (304)."""

    content: bytes | None
    etag: str
    last_modified: str


Follow = Callable[[Hop, httpx.URL], Hop]
"""Returns the next hop for a redirect, or raises ImageNotFound (code `foreign_image`)."""


def fetch(
    start: Hop,
    *,
    limits: Limits,
    follow: Follow,
    etag: str = "",
    last_modified: str = "",
    resolve: Resolve = resolve,
) -> Fetched:
    """Download the content of a URL.

    Args:
        start: the first request.
        limits: of the whole download.
        follow: called before each redirect.
        etag, last_modified: validators of cached content; the server may answer that it is still current.
        resolve: resolves host names.

    Raises:
        ImageNotFound: the image is refused (code `blocked_address`, `foreign_image`, `too_large`, `encoded` or
            `no_image`), or the server refuses it (code `image_http_<status>`).
        ImageUnavailable: the server fails or does not answer in time.
    """
    deadline = time.monotonic() + limits.seconds
    validators: dict[str, str] = {}
    if etag or last_modified:
        validators = {"if-none-match": etag} if etag else {"if-modified-since": last_modified}
    hop = start
    for _ in range(MAX_REDIRECTS + 1):
        response = _get(hop, validators, limits=limits, deadline=deadline, resolve=resolve)
        if isinstance(response, Fetched):
            return response
        hop = follow(hop, response)
    raise ImageNotFound(
        f"an image at {start.url.host} is behind more than {MAX_REDIRECTS} redirects", code="foreign_image"
    )


def _get(
    hop: Hop, validators: Mapping[str, str], *, limits: Limits, deadline: float, resolve: Resolve
) -> Fetched | httpx.URL:
    """Send one request; return its response, or the target of its redirect."""
    network = GuardedNetwork(hop.rule, deadline=deadline, resolve=resolve)
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
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
        raise ImageUnavailable(
            f"an image at {hop.url.host} could not be downloaded ({type(error).__name__}); check that the server is "
            f"running and answers this machine within {limits.seconds:.0f} s",
            code="image_timeout" if isinstance(error, httpcore.TimeoutException) else "image_unreachable",
        ) from None


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
    content = bytearray()
    if not (stated.isdigit() and int(stated) > limits.max_bytes):
        for chunk in response.iter_stream():
            content += chunk
            if len(content) > limits.max_bytes:
                break
        else:
            return Fetched(content=bytes(content), **validators)
    raise ImageNotFound(
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
