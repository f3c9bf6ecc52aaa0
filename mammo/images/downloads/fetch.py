"""fetch: one GET, bounded in bytes and time, that follows only the redirects its caller agrees to."""

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

MAX_REDIRECTS = 4
REDIRECTS = frozenset({301, 302, 303, 307, 308})

GONE = frozenset({400, 401, 403, 404, 405, 410, 451})
"""Answers that would come again for this image; other failures may be the server's."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    max_bytes: int
    seconds: float
    """For everything together: names, connections, redirects, content."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One request on the way."""

    url: httpx.URL
    rule: AddressRule
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came; `content` is None when the server says that what we know is still right (304)."""

    content: bytes | None
    etag: str
    last_modified: str


Follow = Callable[[Hop, httpx.URL], Hop]
"""Where a hop may lead: the next one, or it raises ImageNotFound (code `foreign_image`)."""


def fetch(
    start: Hop,
    *,
    limits: Limits,
    follow: Follow,
    etag: str = "",
    last_modified: str = "",
    resolve: Resolve = resolve,
) -> Fetched:
    """Get what is behind a URL.

    Args:
        follow: asked before each redirect; a hop's headers are its own, and go nowhere else.
        etag, last_modified: of the content that is known; the server may answer that it is still right.

    Raises:
        ImageNotFound: refused for this image: `blocked_address`, `foreign_image`, `too_large`, `encoded`, or the
            server's own answer, `image_http_<status>`.
        ImageUnavailable: the server does not answer (in time), or fails.
    """
    deadline = time.monotonic() + limits.seconds
    known = {"if-none-match": etag} if etag else {"if-modified-since": last_modified} if last_modified else {}
    hop = start
    for _ in range(MAX_REDIRECTS + 1):
        answer = _get(hop, known, limits=limits, deadline=deadline, resolve=resolve)
        if isinstance(answer, Fetched):
            return answer
        hop = follow(hop, answer)
    raise ImageNotFound(f"an image at {start.url.host} is behind too many redirects", code="foreign_image")


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether scheme, host and port are equal."""
    ports = {"http": 80, "https": 443}
    return (one.scheme, one.host, one.port or ports.get(one.scheme)) == (
        other.scheme,
        other.host,
        other.port or ports.get(other.scheme),
    )


def _get(
    hop: Hop, known: Mapping[str, str], *, limits: Limits, deadline: float, resolve: Resolve
) -> Fetched | httpx.URL:
    """What one request brings: content, or where it is."""
    network = GuardedNetwork(hop.rule, deadline=deadline, resolve=resolve)
    # Nothing is decompressed here: a small answer could become a huge one.
    headers = [("host", hop.url.netloc.decode("ascii")), ("accept-encoding", "identity")]
    headers += [*known.items(), *hop.headers.items()]
    url = httpcore.URL(
        scheme=hop.url.raw_scheme, host=hop.url.raw_host, port=hop.url.port, target=hop.url.raw_path
    )
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_trust(), network_backend=network) as pool,
            pool.stream("GET", url, headers=headers) as response,
        ):
            return _read(response, hop.url, limits=limits)
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
        what = type(error).__name__
        raise ImageUnavailable(
            f"an image at {hop.url.host} did not come ({what}); is that server up, and reachable from here "
            f"within {limits.seconds:.0f} s?",
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
        message = f"an image at {url.host} was not handed over: the server answered {response.status}"
        code = f"image_http_{response.status}"
        raise (ImageNotFound if response.status in GONE else ImageUnavailable)(message, code=code)
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise ImageNotFound(
            f"an image at {url.host} comes compressed ({headers['content-encoding'][:20]}); store it as it is",
            code="encoded",
        )
    if headers.get("content-type", "").lower().startswith("text/html"):
        raise ImageNotFound(
            f"{url.host} answered a web page where an image should be; does the key see the project?",
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
    raise ImageNotFound(f"an image at {url.host} has more than {limits.max_bytes} bytes", code="too_large")


def join(base: httpx.URL, reference: str) -> httpx.URL:
    """A reference as an absolute http(s) URL without user and fragment.

    Raises:
        ImageNotFound: code `foreign_image`.
    """
    try:
        url = base.join(reference)
        plain = url.scheme in ("http", "https") and bool(url.host) and not url.userinfo
    except (httpx.InvalidURL, ValueError):  # ValueError: a host that IDNA does not know
        plain = False
    if not plain:
        raise ImageNotFound("an image's address is no plain http(s) URL", code="foreign_image")
    return url


@cache
def _trust() -> ssl.SSLContext:
    """The machine's certificates, which a hospital may have added its own to, and the public ones."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
