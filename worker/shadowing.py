"""Shadow predictions: the tasks of a prelabelling are predicted by a challenger too, and nothing of it is shown."""

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
    """Predict a project's tasks with the shadow model of the settings; store the predictions, push none.

    The backend has a shadow as well, but Label Studio does not ask the backend for tasks that have a prediction.

    Args:
        serving: model version of the predictions that annotators see.

    Returns:
        `version`, `silent` (number of stored predictions) and `failed` (tasks by error code); None if there is no
        shadow, or if it failed as a whole.

    Raises:
        Cancelled: by `report`.
    """
    if not site.settings.shadow or project in site.own_models():
        return None
    version = site.registry.find(site.settings.shadow)
    if version is None or version == serving:
        return None
    try:
        summary = prelabel_tasks(
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
    return {"version": version, "silent": summary["withheld"], "failed": summary["failed"]}
