"""ModelHost: the champion, loaded. A new champion is loaded beside the old one, warmed, and swapped in at once.

Whoever holds a `Loaded` keeps its version to the end of his request; the old networks go when nobody holds them.
A registry that is away, or a model that does not load, leaves the old one serving.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import structlog

from mammo.dicom import Mammogram
from mammo.errors import InvalidWeights, MammoError, ModelNotFound
from mammo.findings import Finding
from mammo.geometry import Box, Point
from mammo.masks import Mask
from mammo.models import ModelRegistry

WARM_UP_PIXELS = 640
"""Side of the image that a new model looks at once before it serves: allocations and kernels happen then."""

SELF_TEST_FAILED = "self_test_failed"
"""Code of the error of a model that finds something else than where it was made; see `mammo.models.self_test`."""

LONGEST_PAUSE = 60.0
"""Most seconds between two attempts at a model that does not load."""

log = structlog.get_logger()


class Segmented(Protocol):
    """The part of `mammo.segmenter.Segmentation` that serving needs."""

    @property
    def mask(self) -> Mask | None: ...

    @property
    def presence(self) -> float | None: ...

    @property
    def notes(self) -> tuple[str, ...]: ...


class Prelabels(Protocol):
    """The part of `mammo.pipeline.Prelabeller` that serving needs."""

    @property
    def version(self) -> str: ...

    def prelabel(self, mammogram: Mammogram, /, *, threshold: float | None) -> list[Finding]: ...

    def answer(
        self,
        mammogram: Mammogram,
        box: Box | None,
        positive: Sequence[Point],
        negative: Sequence[Point],
        /,
        *,
        previous: Any = None,
    ) -> Segmented: ...


Load = Callable[[str], Prelabels]
"""Builds the networks of a version; may take long, and may fail."""

Check = Callable[[str, Prelabels], None]
"""Refuses a version that does not see what it should (code `self_test_failed`)."""


@dataclass(frozen=True)
class Loaded:
    """A model version that serves."""

    version: str
    prelabeller: Prelabels


@dataclass(frozen=True, kw_only=True)
class HostStatus:
    """How loading stands; read by /health."""

    serving: str | None
    champion: str | None
    """Version the registry named last; None when it was never reached or has no champion."""

    pinned: tuple[str, ...] = ()
    """Versions that projects are pinned to, and that are loaded."""

    problem: str | None
    """Code of what went wrong at the last look; None when all is well."""


class ModelHost:
    """Looks for a new champion every few seconds, and when it is woken, on a thread of its own."""

    def __init__(
        self,
        champions: ModelRegistry,
        *,
        load: Load,
        every: float,
        check: Check | None = None,
        pins: Mapping[int, str] | None = None,
        settled: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            champions: the model registry.
            load: builds the networks of a version; may take long, and may fail.
            every: seconds between two looks.
            check: refuses a version that does not see what it should; such a version is not
                tried again before this process starts anew.
            pins: model versions of the projects that do not follow the champion; loaded once, and kept.
            settled: called each time that another champion serves and the one before has been let go.
        """
        self._champions = champions
        self._load = load
        self._every = every
        self._pins = dict(pins or {})
        self._pinned: dict[str, Loaded] = {}
        self._pin_retry_at: dict[str, float] = {}
        self._clock = clock
        self._loaded: Loaded | None = None
        self._champion: str | None = None
        self._problem: str | None = None
        self._failed, self._failures, self._retry_at = "", 0, 0.0
        self._check = check
        self._settled = settled
        self._rejected: set[str] = set()
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-host", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a load under way is not waited for longer than a few seconds."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def wake(self) -> None:
        """Look now: somebody says that the champion has moved."""
        self._woken.set()

    def current(self, project: int | None = None) -> Loaded:
        """The model that serves a project now: the one it is pinned to, else the champion.

        Raises:
            ModelNotFound: it is not loaded yet (`code="model_not_loaded"`).
        """
        pin = self._pins.get(project) if project is not None else None
        if pin is not None and pin not in self._pinned:
            raise ModelNotFound(
                f"project {project} stays with model {pin}, which is not loaded (yet); the server's log says why",
                code="model_not_loaded",
            )
        loaded = self._pinned[pin] if pin else self._loaded
        if loaded is None:
            reason = f" ({self._problem})" if self._problem else ""
            raise ModelNotFound(
                f"no model is loaded yet{reason}; try again in a moment", code="model_not_loaded"
            )
        return loaded

    def status(self) -> HostStatus:
        loaded = self._loaded
        return HostStatus(
            serving=loaded.version if loaded else None,
            champion=self._champion,
            pinned=tuple(sorted(self._pinned)),
            problem=self._problem,
        )

    def look(self) -> None:
        """Look once: load and swap when the champion is another one. Never raises; problems show in `status`."""
        self._load_pins()
        try:
            version = self._champions.champion().version
        except (
            Exception
        ) as error:  # whatever the registry's outage looks like, the loaded model goes on serving
            self._note(error, event="the champion cannot be looked up", version=None)
            return
        self._champion = version
        if self._loaded and self._loaded.version == version:
            self._problem = None
        elif version in self._rejected:
            self._problem = SELF_TEST_FAILED
        elif version != self._failed or self._clock() >= self._retry_at:
            self._swap(version)

    def _load_pins(self) -> None:
        for version in sorted(set(self._pins.values()) - self._pinned.keys() - self._rejected):
            if self._clock() < self._pin_retry_at.get(version, 0.0):
                continue
            try:
                self._pinned[version] = Loaded(version, self._ready(version))
                log.info("pinned model serves", version=version)
            except Exception as error:  # the champion's projects must not wait for it
                self._pin_retry_at[version] = self._clock() + LONGEST_PAUSE
                self._note(error, event="a pinned model does not load", version=version)

    def _ready(self, version: str) -> Prelabels:
        if self._loaded and self._loaded.version == version:
            return self._loaded.prelabeller
        try:
            return load_whole(version, load=self._load, check=self._check)
        except InvalidWeights as error:
            if error.code == SELF_TEST_FAILED:
                self._rejected.add(version)
            raise

    def _swap(self, version: str) -> None:
        began = self._clock()
        try:
            prelabeller = self._ready(version)
        except (
            Exception
        ) as error:  # a model that does not load for any reason must not stop the one that serves
            self._failures = self._failures + 1 if version == self._failed else 1
            self._failed = version
            pause = min(self._every * 2**self._failures, LONGEST_PAUSE)
            self._retry_at = self._clock() + pause
            self._note(error, event="a model does not load", version=version, retry_seconds=pause)
            return
        before = self._loaded.version if self._loaded else None
        self._loaded = Loaded(version, prelabeller)
        self._problem, self._failed, self._failures = None, "", 0
        log.info("model serves", version=version, before=before, seconds=round(self._clock() - began, 3))
        self._settled()

    def _note(self, error: Exception, *, event: str, **facts: object) -> None:
        code = error.code if isinstance(error, MammoError) else type(error).__name__
        if code != self._problem or "retry_seconds" in facts:
            reason = str(error) if isinstance(error, MammoError) else type(error).__name__
            serving = self._loaded.version if self._loaded else None
            log.warning(event, code=code, reason=reason, serving=serving, **facts)
        self._problem = code

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            self.look()
            self._woken.wait(self._every)


def load_whole(version: str, *, load: Load, check: Check | None) -> Prelabels:
    """A version loaded, warm and tested.

    Raises:
        InvalidWeights: the files are of another version, or it does not see what it should.
    """
    prelabeller = load(version)
    if prelabeller.version != version:
        raise InvalidWeights(f"asked for model {version}, and the files say {prelabeller.version}")
    warm_up(prelabeller)
    if check is not None:
        check(version, prelabeller)
    return prelabeller


def warm_up(prelabeller: Prelabels) -> None:
    """One prediction on a small phantom of a breast: whatever fails, fails before the model serves."""
    rows, columns = np.mgrid[:WARM_UP_PIXELS, :WARM_UP_PIXELS].astype(np.float32) / WARM_UP_PIXELS
    breast = (columns**2 + (rows - 0.5) ** 2 < 0.2).astype(np.float32)
    texture = 0.4 + 0.1 * np.sin(40 * rows) * np.sin(40 * columns)
    mammogram = Mammogram(
        pixels=(breast * texture).astype(np.float32),
        spacing=None,
        laterality=None,
        view=None,
        patient=None,
        sha256="0" * 64,
        depth=12,
    )
    prelabeller.prelabel(mammogram, threshold=None)
    middle = Point(WARM_UP_PIXELS // 4, WARM_UP_PIXELS // 2)
    prelabeller.answer(mammogram, None, [middle], [])
