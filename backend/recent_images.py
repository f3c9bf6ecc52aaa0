"""The last mammograms that somebody clicked on: a second click must not decode the file again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import orjson

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
        self._keep = keep
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[float, Mammogram]] = OrderedDict()

    def open(self, data: Mapping[str, Any], /) -> Mammogram:
        key = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
        with self._lock:
            found = self._kept.get(key)
            if found and self._clock() - found[0] < self._seconds:
                self._kept.move_to_end(key)
                return found[1]
        mammogram = self._images.open(data)
        with self._lock:
            self._kept[key] = (self._clock(), mammogram)
            self._kept.move_to_end(key)
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
        return mammogram
