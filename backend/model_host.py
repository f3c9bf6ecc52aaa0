"""ModelHost: hot reload of the champion (step 13 of the walk).

A new champion is loaded beside the old one, warmed up, tested, and swapped in.

A request holds its `Loaded` to the end, and the old networks are freed when no request holds them. If the registry does
not answer, or a model does not load, the old model keeps serving.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import structlog

from mammo.dicom import Mammogram
from mammo.errors import InvalidWeights, MammoError, ModelNotFound
from mammo.geometry import Point
from mammo.models import ModelRegistry

if TYPE_CHECKING:
    from mammo.pipeline import Prelabeller  # imports torch

WARM_UP_PIXELS = 640
"""Side of the warm-up image, which triggers a new model's allocations and kernel compilation before it serves."""

SELF_TEST_FAILED = "self_test_failed"
"""Error code of a model whose findings differ from those on the machine that made it; see `mammo.models.self_test`."""

MAX_PAUSE = 60.0
"""Most seconds between two attempts to load a model."""

log = structlog.get_logger()

Load = Callable[[str], "Prelabeller"]
"""Loads a model version; may take long, and may fail."""

Check = Callable[[str, "Prelabeller"], None]
"""Runs the self-test of a version; raises InvalidWeights (code `self_test_failed`)."""


@dataclass(frozen=True)
class Loaded:
    """A loaded model version."""

    version: str
    prelabeller: Prelabeller


@dataclass(frozen=True, kw_only=True)
class ProjectVersions:
    """The projects that do not follow the champion, and how the host learns of changes."""

    before_first_look: Mapping[int, str] = field(default_factory=dict)
    """Pinned version by project, as the settings have it."""

    pinned: Callable[[], Mapping[int, str]] | None = None
    """Returns the pinned version of each pinned project; called at each look. None: they never change. Until a new
    version is loaded, the previous model serves; one that does not load is never replaced by another."""

    provisional: Callable[[], Mapping[int, str]] = dict
    """Returns the provisional version by project. One serves as soon as it is loaded; until then, or if it does not
    load, the champion does."""


@dataclass(frozen=True)
class PinnedModels:
    """The projects that are pinned, and what is loaded for them; replaced as a whole."""

    versions: Mapping[int, str]
    """By project."""

    loaded: Mapping[str, Loaded]
    """By version; one that does not load is missing."""


@dataclass(frozen=True, kw_only=True)
class HostStatus:
    """State of the host, shown by `/health`."""

    serving: str | None
    champion: str | None
    """Champion at the last look; None if the registry has not answered yet or has no champion."""

    pinned: tuple[str, ...] = ()
    """Loaded versions that serve some projects in the champion's place: pinned and provisional ones."""

    problem: str | None
    """Error code of the last look; None if it succeeded."""

    runtimes: Mapping[str, str] = field(default_factory=dict)
    """What computes the networks of the version that serves, with its number format; empty before there is one."""


class ModelHost:
    """Looks for a new champion every few seconds, and when it is woken, in its own thread."""

    def __init__(
        self,
        champions: ModelRegistry,
        *,
        load: Load,
        every: float,
        check: Check | None = None,
        projects: ProjectVersions | None = None,
        swapped: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            champions: the model registry.
            every: seconds between two looks.
            check: self-test; a version that fails it is not tried again by this process.
            projects: those with a version of their own; None: every project follows the champion.
            swapped: called after each swap, when the host no longer holds the previous model.
        """
        self._champions = champions
        self._load = load
        self._every = every
        projects = projects or ProjectVersions()
        first_pins = dict(projects.before_first_look)
        self._look_up_pins = projects.pinned or (lambda: first_pins)
        self._pinned = PinnedModels(first_pins, {})
        self._pin_retry_at: dict[str, float] = {}
        self._look_up_provisional = projects.provisional
        self._provisional: dict[int, Loaded] = {}
        self._clock = clock
        self._loaded: Loaded | None = None
        self._champion: str | None = None
        self._problem: str | None = None
        self._failed, self._failures, self._retry_at = "", 0, 0.0
        self._check = check
        self._swapped = swapped
        self._rejected: set[str] = set()
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-host", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; wait at most a few seconds for a load in progress."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def wake(self) -> None:
        """Look now, because the champion has changed."""
        self._woken.set()

    def current(self, project: int | None = None) -> Loaded:
        """Return the model that serves a project: the one it is pinned to, its provisional one, or the champion.

        Raises:
            ModelNotFound: it is not loaded yet (code `model_not_loaded`).
        """
        pinned = self._pinned
        pin = pinned.versions.get(project) if project is not None else None
        if pin is not None and pin not in pinned.loaded:
            raise ModelNotFound(
                f"project {project} is pinned to model {pin}, which is not loaded (yet); see the server's log",
                code="model_not_loaded",
            )
        own = self._provisional.get(project) if project is not None else None
        loaded = pinned.loaded[pin] if pin else own or self._loaded
        if loaded is None:
            reason = f" ({self._problem})" if self._problem else ""
            raise ModelNotFound(
                f"no model is loaded yet{reason}; try again in a moment", code="model_not_loaded"
            )
        return loaded

    @property
    def own_models(self) -> frozenset[int]:
        """The projects that do not follow the champion."""
        return frozenset(self._pinned.versions) | frozenset(self._provisional)

    def status(self) -> HostStatus:
        loaded = self._loaded
        return HostStatus(
            serving=loaded.version if loaded else None,
            champion=self._champion,
            pinned=tuple(
                sorted({*self._pinned.loaded, *(each.version for each in self._provisional.values())})
            ),
            problem=self._problem,
            runtimes=loaded.prelabeller.runtimes if loaded else {},
        )

    def look(self) -> None:
        """Look once; load and swap in a new champion. Never raises; problems are shown in `status`."""
        try:
            self._load_pins()
        # Whatever fails in the database, every model that is loaded keeps serving. Before the pins are known, nothing
        # serves: the champion must not be used in a project that is pinned.
        except Exception as error:
            self._note(error, event="the pinned models cannot be looked up", version=None)
            return
        try:
            version = self._champions.champion().version
        # Whatever fails in the registry, the loaded model keeps serving.
        except Exception as error:
            self._note(error, event="the champion cannot be looked up", version=None)
            return
        self._champion = version
        if self._loaded and self._loaded.version == version:
            self._problem = None
        elif version in self._rejected:
            self._problem = SELF_TEST_FAILED
        elif version != self._failed or self._clock() >= self._retry_at:
            self._swap(version)
        self._load_provisional()

    def _load_pins(self) -> None:
        """Load new pinned versions, then let them serve, and free those that no project is pinned to any more."""
        versions, before = dict(self._look_up_pins()), self._pinned
        loaded: dict[str, Loaded] = {}
        for version in sorted(set(versions.values())):
            model = before.loaded.get(version) or self._load_beside(version, kind="pinned")
            if model is not None:
                loaded[version] = model
        self._pinned = PinnedModels(versions, loaded)
        if before.loaded.keys() - loaded.keys():
            self._swapped()

    def _load_provisional(self) -> None:
        """Load new provisional versions, and free those that serve no more."""
        try:
            versions = self._look_up_provisional()
        except Exception as error:  # those that are loaded keep serving
            self._note(error, event="the provisional models cannot be looked up", version=None)
            return
        serving = {each.version: each for each in self._provisional.values()}
        for version in sorted(set(versions.values()) - serving.keys()):
            if (loaded := self._load_beside(version, kind="provisional")) is not None:
                serving[version] = loaded
        self._provisional = {
            project: serving[version] for project, version in versions.items() if version in serving
        }

    def _load_beside(self, version: str, *, kind: str) -> Loaded | None:
        """Load a version that serves some projects only; None if it does not load, or failed lately."""
        if version in self._rejected or self._clock() < self._pin_retry_at.get(version, 0.0):
            return None
        try:
            loaded = Loaded(version, self._load_whole(version))
        except Exception as error:  # the other projects must not wait for it
            self._pin_retry_at[version] = self._clock() + MAX_PAUSE
            self._note(error, event=f"a {kind} model does not load", version=version)
            return None
        log.info(f"{kind} model serves", version=version)
        return loaded

    def _load_whole(self, version: str) -> Prelabeller:
        if self._loaded and self._loaded.version == version:
            return self._loaded.prelabeller
        if (pinned := self._pinned.loaded.get(version)) is not None:
            return pinned.prelabeller
        try:
            return load_whole(version, load=self._load, check=self._check)
        except InvalidWeights as error:
            if error.code == SELF_TEST_FAILED:
                self._rejected.add(version)
            raise

    def _swap(self, version: str) -> None:
        started_at = self._clock()
        try:
            prelabeller = self._load_whole(version)
        # Whatever fails in loading, the present model keeps serving.
        except Exception as error:
            self._failures = self._failures + 1 if version == self._failed else 1
            self._failed = version
            pause = min(self._every * 2**self._failures, MAX_PAUSE)
            self._retry_at = self._clock() + pause
            self._note(error, event="a model does not load", version=version, retry_seconds=pause)
            return
        before = self._loaded.version if self._loaded else None
        self._loaded = Loaded(version, prelabeller)
        self._problem, self._failed, self._failures = None, "", 0
        log.info(
            "model serves",
            version=version,
            before=before,
            seconds=round(self._clock() - started_at, 3),
            **prelabeller.runtimes,
        )
        self._swapped()

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


def load_whole(version: str, *, load: Load, check: Check | None) -> Prelabeller:
    """Load a version, warm it up, and run its self-test.

    Raises:
        InvalidWeights: the files are of another version, or the self-test failed.
    """
    prelabeller = load(version)
    if prelabeller.version != version:
        raise InvalidWeights(f"the files of model {version} are those of {prelabeller.version}")
    warm_up(prelabeller)
    if check is not None:
        check(version, prelabeller)
    return prelabeller


def warm_up(prelabeller: Prelabeller) -> None:
    """Predict a small synthetic breast, so that a failure occurs before the model serves."""
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
