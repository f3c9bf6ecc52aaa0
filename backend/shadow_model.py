"""ShadowModel: the version that predicts silently beside the champion, loaded if there is memory for both."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from backend.model_host import MAX_PAUSE, SELF_TEST_FAILED, Check, Load, Loaded, load_whole
from mammo.errors import MammoError

MEMORY_PER_WEIGHT_BYTE = 4
"""Memory of a loaded network per byte of its weight file: weights, exported copy, buffers."""

WORKING_MEMORY = 2 * 2**30
"""Bytes that must stay free besides, for two mammograms in progress."""

log = structlog.get_logger()


class ShadowModel:
    """Loads the shadow on demand. Not thread-safe. Never raises, because serving does not depend on it."""

    def __init__(
        self,
        find: Callable[[], str | None],
        *,
        load: Load,
        size: Callable[[str], int],
        free: Callable[[], int],
        check: Check | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            find: returns the version to run as a shadow; None: no shadow.
            size: returns the size of a version's weight files, in bytes.
            free: returns the available memory, in bytes.
            check: self-test; a version that fails it is not tried again.
        """
        self._find, self._load, self._size, self._free, self._check = find, load, size, free, check
        self._clock = clock
        self._loaded: Loaded | None = None
        self._rejected: set[str] = set()
        self._failed, self._retry_at = "", 0.0

    def beside(self, serving: str) -> Loaded | None:
        """Return the shadow beside the serving version, loading it if necessary; None if there is none at present."""
        try:
            version = self._find()
        except Exception as error:  # an outage of the registry is reported by the model host
            log.info("the shadow is unknown", error=type(error).__name__)
            return None
        if version is None or version == serving or version in self._rejected:
            self._loaded = None  # promoted or given up: free its memory
            return None
        if self._loaded is not None and self._loaded.version == version:
            return self._loaded
        self._loaded = None
        if version == self._failed and self._clock() < self._retry_at:
            return None
        self._loaded = self._try(version)
        return self._loaded

    def _try(self, version: str) -> Loaded | None:
        try:
            needed = MEMORY_PER_WEIGHT_BYTE * self._size(version) + WORKING_MEMORY
            free = self._free()
            if free < needed:
                self._wait(version, code="no_memory", free=free, needed=needed)
                return None
            loaded = Loaded(version, load_whole(version, load=self._load, check=self._check))
        except Exception as error:  # serving does not depend on the shadow
            code = error.code if isinstance(error, MammoError) else type(error).__name__
            if code == SELF_TEST_FAILED:
                self._rejected.add(version)
            self._wait(version, code=code)
            return None
        log.info("shadow is loaded", version=version)
        return loaded

    def _wait(self, version: str, **facts: object) -> None:
        self._failed, self._retry_at = version, self._clock() + MAX_PAUSE
        log.warning("the shadow does not load", version=version, retry_seconds=MAX_PAUSE, **facts)
