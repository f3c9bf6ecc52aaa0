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
        try:
            key = canonical(dict(data))
        except ValueError as error:
            raise InvalidTaskData(f"the data of the task cannot be read: {error}") from None
        with self._lock:
            cached = self._cache.get(key)
        if cached is not None:
            return cached
        mammogram = self._images.open(data)
        with self._lock:
            self._cache[key] = mammogram
        return mammogram
