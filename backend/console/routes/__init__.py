"""The pages of the console. `ROUTERS` lists their routers; a new page is added here."""

from backend.console.routes import (
    assets,
    audit,
    login,
    look_again,
    models,
    notifications,
    overview,
    pacs,
    people,
    pins,
    runs,
    shadows,
    stages,
    verdict,
)

ROUTERS = (
    assets.router,
    login.router,
    overview.router,
    runs.router,
    verdict.router,
    models.router,
    pins.router,
    shadows.router,
    people.router,
    look_again.router,
    pacs.router,
    stages.router,
    notifications.router,
    audit.router,
)
