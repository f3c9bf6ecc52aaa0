"""ProjectTags: the control tags of each project, read from Label Studio and cached briefly.

Annotations are read with the control tags of their own project. If these are unavailable, that is an error: with other
tags, every cluster that a person drew would be read as "no finding".
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from mammo.errors import InvalidRegion, LabelStudioError
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags

CACHE_SECONDS = 30.0
"""Lifetime of cached tags; the labeling config may change at any time."""

INTERPRETATION_VERSION = 4
"""Increment when `interpretation.interpret` changes its result, so that stored interpretations are recomputed."""

TagsLookup = Callable[[int], ControlTags]
"""Returns the control tags of a project; raises LabelStudioError or InvalidRegion."""


class ProjectTags:
    """Cached control tags of the projects of one Label Studio server. Safe to share between threads."""

    def __init__(
        self, client: LabelStudioClient | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            client: of the Label Studio server; None if it is not configured, so that every project is refused.
            clock: monotonic time in seconds.
        """
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._cache: dict[int, tuple[float, ControlTags]] = {}

    def __call__(self, project: int) -> ControlTags:
        """Return the control tags of a project.

        Raises:
            LabelStudioError: Label Studio is not configured (code `no_label_studio`) or unreachable, or the project
                does not exist for this user.
            InvalidRegion: the project's labeling config has no control for clusters (code `labeling_config`).
        """
        now = self._clock()
        with self._lock:
            cached = self._cache.get(project)
        if cached is not None and now - cached[0] < CACHE_SECONDS:
            return cached[1]
        tags = self._read(project)
        with self._lock:
            self._cache[project] = now, tags
        return tags

    def _read(self, project: int) -> ControlTags:
        if self._client is None:
            raise LabelStudioError(
                f"the labeling config of project {project} is needed to read its annotations: set "
                "YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY",
                code="no_label_studio",
            )
        try:
            return ControlTags.read(str(self._client.project(project)["label_config"]))
        except LabelStudioError as error:
            raise LabelStudioError(
                f"the labeling config of project {project} cannot be read, so neither can its annotations: {error}",
                code=error.code,
            ) from None
        except InvalidRegion as error:
            raise InvalidRegion(f"project {project}: {error}", code=error.code) from None


def digest_of_tags(tags: ControlTags) -> str:
    """Return a digest of the tags and of `INTERPRETATION_VERSION`, the same in every process."""
    fields = [sorted(_fields(each).items()) for each in (tags, *tags.siblings)]
    return hashlib.sha256(f"{INTERPRETATION_VERSION} {fields}".encode()).hexdigest()


def _fields(tags: ControlTags) -> dict[str, object]:
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in vars(tags).items()
        if name != "siblings"
    }
