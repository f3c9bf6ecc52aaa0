"""`/console`: which model serves, and what to do next."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from backend.console.rendering import render
from backend.dependencies import ServicesDep

router = APIRouter(prefix="/console", include_in_schema=False)


@router.get("")
async def overview(request: Request, services: ServicesDep) -> HTMLResponse:
    """Show the model that serves."""
    return render(request, "overview.html", section="overview", status_of_host=services.host.status())
