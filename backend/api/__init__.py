"""The HTTP API under `/api/v1`, which the console, dashboards and scripts share.

schemas.py     bodies of requests
runs.py, models.py, projects.py, readers.py, second_looks.py, audit.py    its resources
description.py its description: OpenAPI as JSON, and a page at `/docs`

An error is `{"error": CODE, "message": SENTENCE}` (`backend.error_table`). The roles are checked by `backend.roles`.
"""

from backend.api import audit, description, models, projects, readers, runs, second_looks

ROUTERS = (projects.router, runs.router, models.router, readers.router, second_looks.router, audit.router)

DESCRIPTION = description.router
