"""The pages of the console. `ROUTERS` lists their routers; a new page is added here."""

from backend.console.routes import assets, login, overview

ROUTERS = (assets.router, login.router, overview.router)
