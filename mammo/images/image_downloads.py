"""ImageDownloads: the bytes of the image that a task names, from Label Studio, cloud storage, or a host on the list.

/data/upload/..., /data/local-files/...   Label Studio's own origin, with the token
s3://..., gs://..., azure-blob://...      Label Studio resolves it for the task; the redirect gets no token
https://host/...                          only hosts that the settings list, without any token
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import httpx

from mammo.errors import ImageNotFound, ImageUnavailable, InvalidSettings
from mammo.images.downloads import AddressRule, DownloadCache, Limits, fetch
from mammo.images.downloads.cache import Known
from mammo.images.downloads.fetch import Hop, join, same_origin
from mammo.images.downloads.network import Resolve, resolve
from mammo.labelstudio.connection import Connection
from mammo.settings import Settings

CLOUD_SCHEMES = ("s3://", "gs://", "azure-blob://", "azure_spi://")

DOWNLOAD_CACHE = "downloads"
"""Folder of the cache, below the data folder."""

_RESOLVES = re.compile(r"/(tasks|projects)/\d+/(resolve|presign)/$")
_UPLOAD = re.compile(r"/data/upload/\d+/[0-9a-f]{8}-[^/]+$")
"""Label Studio gives every uploaded file a name of its own: what it leads to never changes."""


@dataclass(frozen=True)
class ImageHosts:
    """The http(s) hosts from which tasks may show images."""

    entries: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> ImageHosts:
        """Read `images.example.org, *.example.org, http://pacs.local:8042`: https unless an entry says http.

        Raises:
            ValueError: an entry is neither a host nor an origin.
        """
        entries = tuple(entry.strip().lower() for entry in text.split(",") if entry.strip())
        for entry in entries:
            url = httpx.URL(_origin(entry))
            if url.scheme not in ("http", "https") or not url.host or url.path not in ("", "/"):
                raise ValueError(f"{entry!r} is no host; write images.example.org or http://host:port")
        return cls(entries)

    def allow(self, url: httpx.URL) -> bool:
        """Whether scheme, host and port are on the list. `*.host` stands for the names below a host."""
        return any(_matches(httpx.URL(_origin(entry)), url) for entry in self.entries)


def _origin(entry: str) -> str:
    return entry if "://" in entry else f"https://{entry}"


def _matches(listed: httpx.URL, url: httpx.URL) -> bool:
    if listed.host.startswith("*."):
        if not url.host.endswith(listed.host[1:]) or url.host == listed.host[2:]:
            return False
        return same_origin(listed.copy_with(host=url.host), url)
    return same_origin(listed, url)


class ImageDownloads:
    """Fetches images. Safe to share between threads."""

    def __init__(
        self,
        connection: Connection | None,
        *,
        public_url: str = "",
        hosts: ImageHosts | None = None,
        rule: AddressRule | None = None,
        cache: DownloadCache | None = None,
        seconds: float = 120.0,
        resolve: Resolve = resolve,
    ) -> None:
        """
        Args:
            connection: to Label Studio; None when there is none.
            public_url: Label Studio's address as browsers know it; it writes that into tasks of a storage.
            hosts: http(s) hosts that tasks may name; None allows none.
            rule: addresses that anything but Label Studio itself may have.
            cache: keeps what was fetched; None keeps nothing.
            seconds: longest time for one image.
        """
        self._connection = connection
        self._public = httpx.URL(public_url) if public_url else None
        self._hosts = hosts or ImageHosts()
        self._rule = rule or AddressRule()
        self._cache = cache
        self._seconds = seconds
        self._resolve = resolve

    @classmethod
    def of(cls, settings: Settings, connection: Connection | None) -> ImageDownloads:
        """As the settings say.

        Raises:
            InvalidSettings: the list of hosts cannot be understood.
        """
        try:
            hosts = ImageHosts.parse(settings.image_hosts)
        except (ValueError, httpx.InvalidURL) as error:
            raise InvalidSettings(f"YOLO_MLSAM_IMAGE_HOSTS: {error}") from None
        return cls(
            connection,
            public_url=settings.label_studio_public_url,
            hosts=hosts,
            rule=AddressRule.parse(settings.private_networks),
            cache=DownloadCache(settings.data_dir / DOWNLOAD_CACHE, max_bytes=settings.download_cache_bytes),
            seconds=settings.download_seconds,
        )

    def download(self, reference: str, *, max_bytes: int, task: int | None = None) -> bytes:
        """The bytes behind an image reference of a task.

        Args:
            task: its id; Label Studio needs it to resolve a cloud address.

        Raises:
            ImageNotFound: not an address that is fetched, or not there; `code` says which.
            ImageUnavailable: a server does not answer now.
            LabelStudioError: Label Studio did not exchange the access token.
        """
        start = self._start(reference, task)
        name = str(start)
        known = self._cache.find(name) if self._cache else None
        if known and self._cache and (_UPLOAD.search(start.path) or self._cache.fresh(known[0])):
            return _bounded(known[1], start, max_bytes)
        limits = Limits(max_bytes=max_bytes, seconds=self._seconds)
        if known is None:
            content, etag, modified = self._fetch(start, limits, None)
        else:
            content, etag, modified = self._fetch(start, limits, known[0])
            if content is None:
                content, etag = _bounded(known[1], start, max_bytes), etag or known[0].etag
        if content is None:
            raise ImageUnavailable(f"an image at {start.host} did not come: its server speaks of another one")
        if self._cache:
            self._cache.put(name, content, etag=etag, last_modified=modified)
        return content

    def _start(self, reference: str, task: int | None) -> httpx.URL:
        if reference.startswith(CLOUD_SCHEMES):
            if self._connection is None or task is None:
                raise ImageNotFound(
                    f"an image at {reference.split('://')[0]}:// can be read through Label Studio only, as a task "
                    "of a project with that storage; set YOLO_MLSAM_LABEL_STUDIO_URL",
                    code="foreign_image",
                )
            name = base64.urlsafe_b64encode(reference.encode(errors="surrogatepass")).decode("ascii")
            return self._connection.origin.join(
                f"tasks/{task}/resolve/?{httpx.QueryParams({'fileuri': name})}"
            )
        if self._connection is None:
            if reference.startswith("/"):
                raise ImageNotFound(
                    "the task's image lies in Label Studio, and YOLO_MLSAM_LABEL_STUDIO_URL is not set",
                    code="foreign_image",
                )
            return join(httpx.URL(""), reference)
        url = join(self._connection.origin, reference)
        if self._public is not None and same_origin(url, self._public):
            origin = self._connection.origin
            return url.copy_with(scheme=origin.scheme, host=origin.host, port=origin.port)
        return url

    def _fetch(self, start: httpx.URL, limits: Limits, known: Known | None) -> tuple[bytes | None, str, str]:
        """Content (None: what is known is right), ETag, Last-Modified."""

        def get(hop: Hop) -> tuple[bytes | None, str, str]:
            fetched = fetch(
                hop,
                limits=limits,
                follow=self._follow,
                etag=known.etag if known else "",
                last_modified=known.last_modified if known else "",
                resolve=self._resolve,
            )
            return fetched.content, fetched.etag, fetched.last_modified

        hop = self._first(start)
        if self._connection is None or not self._connection.personal or not hop.headers:
            return get(hop)
        try:
            return get(hop)
        except ImageNotFound as error:
            if error.code != "image_http_401":
                raise
            self._connection.renew()  # the access token may have ended early: the server was restarted
            return get(self._first(start))

    def _first(self, url: httpx.URL) -> Hop:
        if self._connection is not None and same_origin(url, self._connection.origin):
            headers = {"authorization": self._connection.authorization()}
            return Hop(url=url, rule=AddressRule(anywhere=True), headers=headers)
        if self._hosts.allow(url):
            return Hop(url=url, rule=self._rule, headers={})
        raise ImageNotFound(
            f"an image at {url.scheme}://{url.host} is not fetched: it is neither Label Studio's nor on the list of "
            "YOLO_MLSAM_IMAGE_HOSTS; if it is Label Studio under another name, set "
            "YOLO_MLSAM_LABEL_STUDIO_PUBLIC_URL",
            code="foreign_image",
        )

    def _follow(self, hop: Hop, target: httpx.URL) -> Hop:
        """Label Studio leads anywhere within itself, and out only to resolve; whoever got no token gives none on."""
        if hop.headers and self._connection is not None:
            if same_origin(target, self._connection.origin):
                return Hop(url=target, rule=hop.rule, headers=hop.headers)
            if _RESOLVES.search(hop.url.path):
                return Hop(url=target, rule=self._rule, headers={})
        elif self._hosts.allow(hop.url):
            if self._hosts.allow(target):
                return Hop(url=target, rule=self._rule, headers={})
        else:  # cloud storage that sends us to another of its servers
            return Hop(url=target, rule=self._rule, headers={})
        raise ImageNotFound(
            f"an image at {hop.url.host} redirects to {target.scheme}://{target.host}, which is not followed",
            code="foreign_image",
        )


def _bounded(content: bytes, url: httpx.URL, max_bytes: int) -> bytes:
    if len(content) > max_bytes:
        raise ImageNotFound(f"an image at {url.host} has more than {max_bytes} bytes", code="too_large")
    return content
