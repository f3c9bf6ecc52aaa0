"""The shadow's turn in a prelabelling: the tasks that were pushed, looked at by a challenger, silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from mammo.errors import Cancelled, MammoError
from worker.prelabelling import prelabel_tasks

if TYPE_CHECKING:
    from worker.services import Services

log = structlog.get_logger()


def shadow_tasks(
    project: int, *, serving: str, tools: Services, report: Callable[[str, float, str], None]
) -> dict[str, Any] | None:
    """Keep what the shadow of the settings says of a project's tasks; nothing of it reaches Label Studio.

    Label Studio does not ask the backend for tasks that have a prediction: of those the backend's shadow never hears.

    Returns:
        `version`, `silent` and `failed` (tasks by error code); None where there is no shadow, or it could not look.

    Raises:
        Cancelled: `report` asked to stop.
    """
    if not tools.settings.shadow or project in tools.settings.pinned_models:
        return None
    version = tools.registry.find(tools.settings.shadow)
    if version is None or version == serving:
        return None
    try:
        done = prelabel_tasks(
            project,
            tools.load(tools.registry.files(version, into=tools.settings.models)),
            client=tools.client,
            store=tools.store,
            open_image=tools.images.open,
            report=lambda _, progress, message: report("shadow", progress, message),
            threshold=tools.settings.thresholds.get(project),
            brush=project in tools.settings.brush_project_ids,
            withheld=lambda _project, _task, _data: "shadow",
        )
    except Cancelled:
        raise
    except MammoError as error:
        log.warning("no shadow predictions", project=project, version=version, code=error.code)
        return None
    return {"version": version, "silent": done["withheld"], "failed": done["failed"]}
