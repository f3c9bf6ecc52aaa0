"""`/console/login` and `/console/logout`."""

from __future__ import annotations

from typing import cast

import anyio.to_thread
import structlog
from anyio import CapacityLimiter
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from backend.callers import COOKIE
from backend.console.forms import read_fields, read_form
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.rate_limit import Buckets, client_network
from mammo.access.sessions import LIFETIME

router = APIRouter(prefix="/console", include_in_schema=False)

MAX_LOGINS = 10
"""Log-ins per minute and address, and per minute and name. Right passwords count too: they cost as much to check."""

MAX_CHECKS = 2
"""Passwords that are checked at the same time; each needs 64 MiB."""

WRONG = "User name or password is wrong."
TOO_MANY = "Too many attempts. Wait a minute, then try again."

log = structlog.get_logger()


class LoginLimits:
    """What an application allows of log-ins."""

    def __init__(self) -> None:
        self.guesses = Buckets(MAX_LOGINS)
        self.checks = CapacityLimiter(MAX_CHECKS)


@router.get("/login")
async def form(request: Request) -> HTMLResponse:
    """Show the form."""
    return render(request, "login.html", problem="", next=_own_path(request.query_params.get("next", "")))


@router.post("/login")
async def log_in(request: Request, services: ServicesDep) -> Response:
    """Open a session. 401: name or password is wrong; 429: too many attempts."""
    limits = cast(LoginLimits, request.app.state.login_limits)
    fields = await read_fields(request)
    name, password = fields.get("name", "")[:64], fields.get("password", "")
    after = _own_path(fields.get("next", ""))
    address = f"address {client_network(request.client.host if request.client else 'unknown')}"
    if not (limits.guesses.spend(address) and limits.guesses.spend(f"name {name}")):
        return render(request, "login.html", status=429, problem=TOO_MANY, next=after)
    access = services.site.access
    user = await anyio.to_thread.run_sync(access.users.check, name, password, limiter=limits.checks)
    if user is None:
        return render(request, "login.html", status=401, problem=WRONG, next=after)
    cookie = await anyio.to_thread.run_sync(access.sessions.open, user.name)
    log.info("logged in", user=user.name)
    response = see_other(after)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def log_out(request: Request, services: ServicesDep) -> Response:
    """End the session."""
    await read_form(request)
    if cookie := request.cookies.get(COOKIE):
        await anyio.to_thread.run_sync(services.site.access.sessions.end, cookie)
    response = see_other("/console/login")
    response.delete_cookie(COOKIE)
    return response


def _own_path(path: str) -> str:
    """Return a path of the console; its first page in place of any other address."""
    is_own = path.startswith(("/console/", "/docs")) and "//" not in path and "\\" not in path
    return path if is_own and path.isprintable() else "/console"
