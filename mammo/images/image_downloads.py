"""ImageDownloads: the content of a task's image, from Label Studio, cloud storage, or an allowed host.

/data/upload/..., /data/local-files/...   images of Label Studio (`ImagePaths`), with the token
s3://..., gs://..., azure-blob://...      resolved by Label Studio for the task; its redirect gets no token
https://host/...                          hosts in the settings only, without token
"""

from __future__ import annotations

import base64
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

import httpx

from mammo.errors import ImageNotFound, ImageUnavailable, InvalidSettings
from mammo.images.downloads import AddressRule, DownloadCache, Limits, fetch
from mammo.images.downloads.cache import CachedDownload
from mammo.images.downloads.fetch import Fetched, Hop, join
from mammo.images.downloads.hosts import Hosts, Purpose
from mammo.images.downloads.network import Resolve, resolve
from mammo.images.image_hosts import ImageHosts
from mammo.labelstudio.connection import Connection
from mammo.labelstudio.image_paths import FORMS, ImagePath, ImagePaths
from mammo.settings import Settings

CLOUD_SCHEMES = ("s3://", "gs://", "azure-blob://", "azure_spi://")

DOWNLOAD_CACHE = "downloads"
"""Folder of the cache in the data folder."""


@dataclass(frozen=True, kw_only=True)
class DownloadLimits:
    """Limits of the download of one image."""

    seconds: float = 120.0
    """Maximum time."""

    bytes_per_second: float = 0.0
    """Least rate, after a grace period; 0: any."""


class ImageDownloads:
    """Downloads the images of tasks. Safe to share between threads."""

    def __init__(
        self,
        connection: Connection | None,
        *,
        public_url: str = "",
        hosts: ImageHosts | None = None,
        rule: AddressRule | None = None,
        cache: DownloadCache | None = None,
        limits: DownloadLimits | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        """
        Args:
            connection: to Label Studio; None if it is not configured.
            public_url: Label Studio's address from browsers, which it writes into tasks of a storage.
            hosts: http(s) hosts that tasks may name; None allows none.
            rule: allowed IP addresses of all servers but Label Studio.
            cache: cache of downloads; None for no cache.
            limits: of every image; None for the default ones.
            resolve: resolves host names.
        """
        self._connection = connection
        public = httpx.URL(public_url) if public_url else None
        self._paths = ImagePaths(connection.origin, public=public) if connection else None
        self._hosts = hosts or ImageHosts()
        self._rule = rule or AddressRule()
        self._cache = cache
        self._limits = limits or DownloadLimits()
        self._in_progress = Hosts()
        self._resolve = resolve

    @classmethod
    def of(cls, settings: Settings, connection: Connection | None) -> ImageDownloads:
        """Create downloads with the configured hosts, networks, cache and time limit.

        Raises:
            InvalidSettings: the list of hosts is invalid.
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
            limits=DownloadLimits(
                seconds=settings.download_seconds, bytes_per_second=settings.download_bytes_per_second
            ),
        )

    def download(self, reference: str, *, max_bytes: int, task: int | None = None) -> bytes:
        """Return the content of a task's image; see `fetch`."""
        with self.fetch(reference, max_bytes=max_bytes, task=task) as content:
            return content.read()

    def fetch(
        self,
        reference: str,
        *,
        max_bytes: int,
        task: int | None = None,
        deadline: float | None = None,
        purpose: Purpose = "background",
    ) -> IO[bytes]:
        """Return the content of a task's image, in memory or in a temporary file: at its beginning, to be closed.

        Args:
            reference: address of the image in the task data.
            max_bytes: maximum size.
            task: task id, which Label Studio needs to resolve a cloud address.
            deadline: on the clock of `time.monotonic`; None: the limit of every image.
            purpose: each purpose has its own places at every host.

        Raises:
            ImageNotFound: the address is not allowed, or the image does not exist or is too large.
            ImageUnavailable: a server does not answer, is too slow, or has no place now.
            LabelStudioError: the personal access token could not be exchanged.
        """
        start = self._resolved(reference, task)
        latest = time.monotonic() + self._limits.seconds
        limits = Limits(
            max_bytes=max_bytes,
            deadline=latest if deadline is None else min(deadline, latest),
            bytes_per_second=self._limits.bytes_per_second,
            purpose=purpose,
            folder=self._cache.folder if self._cache else None,
        )
        cached, known = (self._cache.find(str(start)) if self._cache else None) or (None, None)
        if self._cache is None or cached is None or known is None:
            return self._ask(start, limits)
        with ExitStack() as opened:
            opened.enter_context(known)
            _require_size(known, start, max_bytes)
            is_current = self._is_unique(start) or self._cache.fresh(cached)
            content = known if is_current else self._ask(start, limits, cached, known)
            if content is known:
                opened.pop_all()  # the caller closes it
            return content

    def _ask(
        self,
        start: httpx.URL,
        limits: Limits,
        cached: CachedDownload | None = None,
        known: IO[bytes] | None = None,
    ) -> IO[bytes]:
        """Return the content that the server sends, or `known` if that is still current; cache it."""
        fetched = self._fetch(start, limits, cached)
        content = known if fetched.content is None else fetched.content
        if content is None:
            raise ImageUnavailable(
                f"{start.host} answered that an image has not changed, although it is not cached; try again"
            )
        if self._cache:
            etag = fetched.etag or (cached.etag if cached and content is known else "")
            self._cache.put(str(start), content, etag=etag, last_modified=fetched.last_modified)
        return content

    def _resolved(self, reference: str, task: int | None) -> httpx.URL:
        """Return the URL of the first request for an image reference."""
        if reference.startswith(CLOUD_SCHEMES):
            if self._paths is None or task is None:
                raise ImageNotFound(
                    f"an image at {reference.split('://')[0]}:// can only be downloaded through Label Studio, as a "
                    "task of a project with that storage; set YOLO_MLSAM_LABEL_STUDIO_URL",
                    code="foreign_image",
                )
            name = base64.urlsafe_b64encode(reference.encode(errors="surrogatepass")).decode("ascii")
            return self._paths.resolver(task, name)
        if self._connection is None or self._paths is None:
            if reference.startswith("/"):
                raise ImageNotFound(
                    "the task's image is stored in Label Studio; set YOLO_MLSAM_LABEL_STUDIO_URL",
                    code="foreign_image",
                )
            return join(httpx.URL(""), reference)
        url = join(self._connection.origin, reference)
        image = self._paths.image(url)
        return image.url if image else url

    def _is_unique(self, url: httpx.URL) -> bool:
        """Whether the content at an address never changes."""
        image = self._paths.image(url) if self._paths else None
        return image is not None and image.is_unique

    def _fetch(self, start: httpx.URL, limits: Limits, cached: CachedDownload | None) -> Fetched:
        """Download an image, unless the cached content is still current."""

        def get(hop: Hop) -> Fetched:
            return fetch(
                hop,
                limits=limits,
                follow=self._follow,
                hosts=self._in_progress,
                etag=cached.etag if cached else "",
                last_modified=cached.last_modified if cached else "",
                resolve=self._resolve,
            )

        hop = self._first_hop(start, deadline=limits.deadline)
        if self._connection is None or not self._connection.personal or not hop.headers:
            return get(hop)
        try:
            return get(hop)
        except ImageNotFound as error:
            if error.code != "image_http_401":
                raise
            self._connection.renew()  # Access tokens end early when the server is restarted.
            return get(self._first_hop(start, deadline=limits.deadline))

    def _first_hop(self, url: httpx.URL, *, deadline: float) -> Hop:
        image = self._paths.image(url) if self._paths else None
        if self._connection is not None and image:
            seconds = max(deadline - time.monotonic(), 0.01)
            headers = {"authorization": self._connection.authorization(seconds=seconds)}
            rule = AddressRule(anywhere=True)
            return Hop(url=url, rule=rule, headers=headers, service=_service(image))
        if self._hosts.allow(url):
            return Hop(url=url, rule=self._rule, headers={})
        if self._paths is not None and self._paths.serves(url):
            raise ImageNotFound(
                f"an address of Label Studio that is no image is not fetched; expected {FORMS}; correct the task",
                code="foreign_path",
            )
        raise ImageNotFound(
            f"an image at {url.scheme}://{url.host} is not fetched: the host is neither Label Studio's nor in "
            "YOLO_MLSAM_IMAGE_HOSTS; if it is another address of Label Studio, set "
            "YOLO_MLSAM_LABEL_STUDIO_PUBLIC_URL",
            code="foreign_image",
        )

    def _follow(self, hop: Hop, target: httpx.URL) -> Hop:
        """Return the next hop of a redirect. The token is only sent from Label Studio to its own images.

        Label Studio may redirect to its images, and anywhere when it resolves a cloud address. An allowed host may
        redirect to allowed hosts. Cloud storage, which was reached through Label Studio, may redirect anywhere.
        """
        if hop.headers and self._paths is not None:
            image, start = self._paths.image(target), self._paths.image(hop.url)
            if image:
                return Hop(url=image.url, rule=hop.rule, headers=hop.headers, service=_service(image))
            if start and start.resolves:  # the storage may be behind the same proxy
                is_near = self._paths.serves(target)
                return Hop(url=target, rule=hop.rule if is_near else self._rule, headers={})
            if self._paths.serves(target):
                raise ImageNotFound(
                    "Label Studio redirects an image to a page that is no image, such as its login; check that "
                    "YOLO_MLSAM_LABEL_STUDIO_API_KEY has access to the project",
                    code="foreign_path",
                )
        elif self._hosts.allow(hop.url):
            if self._hosts.allow(target):
                return Hop(url=target, rule=self._rule, headers={})
        else:
            return Hop(url=target, rule=self._rule, headers={})
        raise ImageNotFound(
            f"an image at {hop.url.host} redirects to {target.scheme}://{target.host}, which is not followed; add the "
            "host to YOLO_MLSAM_IMAGE_HOSTS if it is trusted",
            code="foreign_image",
        )


def _service(image: ImagePath) -> str:
    """Return what Label Studio gets an image from that may be slow while its own files are not."""
    return "cloud storage" if image.resolves else ""


def _require_size(content: IO[bytes], url: httpx.URL, max_bytes: int) -> None:
    size = content.seek(0, os.SEEK_END)
    content.seek(0)
    if size > max_bytes:
        raise ImageNotFound(
            f"expected an image of at most {max_bytes} bytes, got a larger one from {url.host}",
            code="too_large",
        )
