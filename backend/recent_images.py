"""Cache of the last mammograms, so that a second click does not decode the file again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from cachetools import TTLCache

from backend.services import Images
from mammo.dicom import Mammogram
from mammo.errors import InvalidTaskData
from mammo.images.downloads.hosts import Purpose
from mammo.images.task_images import LocalImage
from mammo.lenient_json import canonical


class RecentImages:
    """Opens images, and caches the last few for some minutes. Safe to share between threads."""

    def __init__(
        self,
        images: Images,
        *,
        keep: int = 4,
        seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            keep: number of images; a full-field mammogram takes some 50 MB.
            seconds: lifetime in the cache; a file may be replaced under the same name.
        """
        self._images = images
        self._lock = threading.Lock()
        self._cache: TTLCache[bytes, Mammogram] = TTLCache(keep, seconds, timer=clock)

    def open(self, data: Mapping[str, Any], /) -> Mammogram:
        with self.fetch(data) as image:
            return image.open()

    def local(self, data: Mapping[str, Any], /) -> LocalImage | None:
        """Return a cached image, or one on this machine; None for one that must be downloaded."""
        with self._lock:
            cached = self._cache.get(_key(data))
        if cached is not None:
            return LocalImage(lambda: cached)
        image = self._images.local(data)
        return self._caching(data, image) if image else None

    def fetch(
        self, data: Mapping[str, Any], /, *, deadline: float | None = None, purpose: Purpose = "background"
    ) -> LocalImage:
        """Return an image, downloaded if need be; see `TaskImages.fetch`."""
        local = self.local(data)
        return local or self._caching(data, self._images.fetch(data, deadline=deadline, purpose=purpose))

    def _caching(self, data: Mapping[str, Any], image: LocalImage) -> LocalImage:
        def decode() -> Mammogram:
            mammogram = image.open()
            with self._lock:
                self._cache[_key(data)] = mammogram
            return mammogram

        return LocalImage(decode, close=image.close)


def _key(data: Mapping[str, Any]) -> bytes:
    try:
        return canonical(dict(data))
    except ValueError as error:
        raise InvalidTaskData(f"the data of the task cannot be read: {error}") from None
