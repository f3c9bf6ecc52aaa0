"""ProjectTags: what each project calls its controls and labels, asked of Label Studio and remembered for a moment.

Whoever reads annotations of a project reads them with that project's names. Where they are not to be had there is an
error and never a guess: with somebody else's names every cluster that a person drew reads as "nothing there".
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from mammo.errors import InvalidRegion, LabelStudioError
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags

REMEMBERED_SECONDS = 30.0
"""How long tags are used before they are asked for again: somebody may have changed the labeling config."""

READ_BY = 2
"""Raise it when `interpretation.interpret` reads the same annotation otherwise: what is kept is then computed again."""

TagsOf = Callable[[int], ControlTags]
"""Names the controls of a project. Raises LabelStudioError or InvalidRegion."""


class ProjectTags:
    """The control tags of the projects of one Label Studio. Safe to share between threads."""

    def __init__(
        self, client: LabelStudioClient | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            client: None: Label Studio is not set up here, and every project is refused.
            clock: seconds that only grow.
        """
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[int, tuple[float, ControlTags]] = {}

    def __call__(self, project: int) -> ControlTags:
        """The control tags of a project.

        Raises:
            LabelStudioError: Label Studio is not set up (code `no_label_studio`), away, or does not show the project.
            InvalidRegion: the project's labeling config has no control for clusters (code `labeling_config`).
        """
        now = self._clock()
        with self._lock:
            asked_at, tags = self._known.get(project, (now - 2 * REMEMBERED_SECONDS, None))
        if tags is not None and now - asked_at < REMEMBERED_SECONDS:
            return tags
        found = self._read(project)
        with self._lock:
            self._known[project] = now, found
        return found

    def _read(self, project: int) -> ControlTags:
        if self._client is None:
            raise LabelStudioError(
                f"what project {project} calls a cluster is written in its labeling config, which Label Studio has: "
                "set YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY",
                code="no_label_studio",
            )
        try:
            return ControlTags.read(str(self._client.project(project)["label_config"]))
        except LabelStudioError as error:
            raise LabelStudioError(
                f"what project {project} calls a cluster is not known, so its annotations are not read: {error}",
                code=error.code,
            ) from None
        except InvalidRegion as error:
            raise InvalidRegion(f"project {project}: {error}", code=error.code) from None


def digest_of_tags(tags: ControlTags) -> str:
    """Names a way to read annotations: the same in every process for the same tags, another for others."""
    named = [sorted(_values(each).items()) for each in (tags, *tags.siblings)]
    return hashlib.sha256(f"{READ_BY} {named}".encode()).hexdigest()


def _values(tags: ControlTags) -> dict[str, object]:
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in vars(tags).items()
        if name != "siblings"
    }
