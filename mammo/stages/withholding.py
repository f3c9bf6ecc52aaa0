"""Withholding: which tasks are shown without a prelabel, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import structlog

from mammo.blinding import Blinding
from mammo.errors import StorageUnavailable
from mammo.stages.log import StageLog
from mammo.stages.rules import DEFAULT_STAGE, Stage

log = structlog.get_logger()


class Withholding:
    """Decides for each task whether annotators are shown its prelabel. Thread-safe."""

    def __init__(self, stages: StageLog, blinding: Blinding) -> None:
        self._stages = stages
        self._blinding = blinding
        self._last_known: dict[int, Stage] = {}

    def __call__(
        self, project: int, task: int, data: Mapping[str, Any]
    ) -> Literal["assisted", "blind"] | None:
        """Return why a task's prelabel is withheld; None if annotators are shown it."""
        if self._stage(project) == "assisted":
            return "assisted"
        return "blind" if self._blinding.is_blind(project, task, data) else None

    def _stage(self, project: int) -> Stage:
        try:
            self._last_known[project] = self._stages.stage(project)
        except StorageUnavailable as error:  # use the last known stage
            log.warning("stage of a project cannot be read", project=project, code=error.code)
        return self._last_known.get(project, DEFAULT_STAGE)
