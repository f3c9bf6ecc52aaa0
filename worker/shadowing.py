"""The shadow's turn in a prelabelling: the tasks that were pushed, looked at by a challenger, silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from mammo.errors import Cancelled, MammoError
from mammo.site import Site
from worker.prelabelling import prelabel_tasks

log = structlog.get_logger()


def shadow_tasks(
    project: int, *, serving: str, site: Site, report: Callable[[str, float, str], None]
) -> dict[str, Any] | None:
    """Keep what the shadow of the settings says of a project's tasks; nothing of it reaches Label Studio.

    Label Studio does not ask the backend for tasks that have a prediction: of those the backend's shadow never hears.

    Returns:
        `version`, `silent` and `failed` (tasks by error code); None where there is no shadow, or it could not look.

    Raises:
        Cancelled: `report` asked to stop.
    """
    if not site.settings.shadow or project in site.settings.pinned_models:
        return None
    version = site.registry.find(site.settings.shadow)
    if version is None or version == serving:
        return None
    try:
        done = prelabel_tasks(
            project,
            site.load_model(version),
            site=site,
            report=lambda _, progress, message: report("shadow", progress, message),
            withheld=lambda _project, _task, _data: "shadow",
        )
    except Cancelled:
        raise
    except MammoError as error:
        log.warning("no shadow predictions", project=project, version=version, code=error.code)
        return None
    return {"version": version, "silent": done["withheld"], "failed": done["failed"]}
