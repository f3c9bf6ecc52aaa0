"""The last mammograms that somebody clicked on: a second click must not decode the file again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from cachetools import TTLCache

from backend.services import Images
from mammo.dicom import Mammogram


class RecentImages:
    """Opens images like what it wraps, and keeps the last few for some minutes. Safe to share between threads."""

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
            keep: how many; a full-field mammogram takes some 50 MB.
            seconds: how long; a file may be replaced under the same name.
        """
        self._images = images
        self._lock = threading.Lock()
        self._kept: TTLCache[bytes, Mammogram] = TTLCache(keep, seconds, timer=clock)

    def open(self, data: Mapping[str, Any], /) -> Mammogram:
        key = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
        with self._lock:
            found = self._kept.get(key)
        if found is not None:
            return found
        mammogram = self._images.open(data)
        with self._lock:
            self._kept[key] = mammogram
        return mammogram
