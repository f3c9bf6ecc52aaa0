"""The pages of the console. `ROUTERS` lists their routers; a new page is added here."""

from backend.console.routes import assets, audit, login, look_again, models, overview, people, runs

ROUTERS = (
    assets.router,
    login.router,
    overview.router,
    runs.router,
    models.router,
    people.router,
    look_again.router,
    audit.router,
)
