"""ShadowModel: the version that predicts silently beside the champion, loaded when there is memory for two."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from backend.model_host import LONGEST_PAUSE, SELF_TEST_FAILED, Check, Load, Loaded, load_whole
from mammo.errors import MammoError

MEMORY_PER_WEIGHT_BYTE = 4
"""Bytes that a loaded network takes for each byte of its file: weights, exported copy, buffers."""

WORKING_MEMORY = 2 * 2**30
"""Bytes that must stay free beside it: two mammograms at work."""

log = structlog.get_logger()


class ShadowModel:
    """For one thread. It never raises: without a shadow nothing is missing but its silent predictions."""

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
            find: names the version that should run as a shadow; None: none.
            size: bytes of a version's weight files.
            free: bytes of memory that can be had.
            check: refuses a version that does not see what it should; such a one is not tried again.
        """
        self._find, self._load, self._size, self._free, self._check = find, load, size, free, check
        self._clock = clock
        self._loaded: Loaded | None = None
        self._rejected: set[str] = set()
        self._failed, self._retry_at = "", 0.0

    def beside(self, serving: str) -> Loaded | None:
        """The shadow of a version that serves, loaded now if need be; None where there is none, or not now."""
        try:
            version = self._find()
        except Exception as error:  # the registry's outage is told of by whoever serves from it
            log.info("the shadow is not known", error=type(error).__name__)
            return None
        if version is None or version == serving or version in self._rejected:
            self._loaded = None  # it was promoted or given up: its memory goes back
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
            made = Loaded(version, load_whole(version, load=self._load, check=self._check))
        except Exception as error:  # whatever it is, the champion's answers do not depend on it
            code = error.code if isinstance(error, MammoError) else type(error).__name__
            if code == SELF_TEST_FAILED:
                self._rejected.add(version)
            self._wait(version, code=code)
            return None
        log.info("shadow is loaded", version=version)
        return made

    def _wait(self, version: str, **facts: object) -> None:
        self._failed, self._retry_at = version, self._clock() + LONGEST_PAUSE
        log.warning("no shadow now", version=version, retry_seconds=LONGEST_PAUSE, **facts)
