"""Withholding: of which tasks annotators get no prelabel, and why."""

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
    """Asked before each prelabel that an annotator could see. Safe to share between threads."""

    def __init__(self, stages: StageLog, blinding: Blinding) -> None:
        self._stages = stages
        self._blinding = blinding
        self._last: dict[int, Stage] = {}

    def __call__(
        self, project: int, task: int, data: Mapping[str, Any]
    ) -> Literal["assisted", "blind"] | None:
        """Why a task's prelabel is withheld; None: annotators get it."""
        if self._stage(project) == "assisted":
            return "assisted"
        return "blind" if self._blinding.is_blind(project, task, data) else None

    def _stage(self, project: int) -> Stage:
        try:
            self._last[project] = self._stages.stage(project)
        except StorageUnavailable as error:  # what held a moment ago
            log.warning("a project's stage cannot be looked up", project=project, code=error.code)
        return self._last.get(project, DEFAULT_STAGE)
