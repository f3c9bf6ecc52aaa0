"""The HTTP API under `/api/v1`, which the console, dashboards and scripts share.

schemas.py     bodies of requests
runs.py, verdicts.py, models.py, pins.py, shadows.py, projects.py, problems.py, stages.py, readers.py, second_looks.py,
pacs.py, notifications.py, audit.py   its resources
description.py its description: OpenAPI as JSON, and a page at `/docs`

An error is `{"error": CODE, "message": SENTENCE}` (`backend.error_table`). The roles are checked by `backend.roles`.
"""

from backend.api import (
    audit,
    description,
    models,
    notifications,
    pacs,
    pins,
    problems,
    projects,
    readers,
    runs,
    second_looks,
    shadows,
    stages,
    verdicts,
)

ROUTERS = (
    projects.router,
    problems.router,
    runs.router,
    verdicts.router,
    models.router,
    pins.router,
    shadows.router,
    stages.router,
    readers.router,
    second_looks.router,
    pacs.router,
    notifications.router,
    audit.router,
)

DESCRIPTION = description.router
