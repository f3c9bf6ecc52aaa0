"""Middleware for every request: body limit, security headers, log line, and no traceback for callers. Plain ASGI."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.console.error_pages import error_page, wants_page
from backend.error_table import answer
from backend.logs import where
from backend.metrics import Metrics
from backend.rate_limit import Buckets

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

MAX_LINES = 60
"""Log lines per minute about requests without a right secret. Whoever sends them must not fill the disk."""

log = structlog.get_logger()


class BodyLimit:
    """Refuses a body whose Content-Length is too large, and stops reading one that exceeds the limit."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._message = f"the body is too large; at most {max_bytes} bytes are allowed"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "0")
        if not (stated.isascii() and stated.isdecimal()) or int(stated) > self._max_bytes:
            refusal = answer("too_large", self._message, status=413)
            await refusal(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._message)
            return message

        await self._app(scope, limited, send)


class Guard:
    """Outermost middleware: security headers, a log line and a count per request, and 500 without details."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        paths: frozenset[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            paths: those of the routes; a request that reaches no route is named by its path only if it is one of them.
        """
        self._app = app
        self._metrics = metrics
        self._paths = paths
        self._refusals = Buckets(MAX_LINES, clock=clock)
        self._num_unlogged = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at, status = time.monotonic(), 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except ClientDisconnect:
            log.info("the client disconnected before its request was complete")
        except Exception as error:  # the last place that can hide a traceback from the caller
            incident = secrets.token_hex(6)
            log.error("unexpected error", incident=incident, error=type(error).__name__, where=where(error))
            if status == 0:
                await _failed(Request(scope), incident)(scope, receive, guarded)
        other = scope["path"] if scope["path"] in self._paths else "other"
        route = getattr(scope.get("route"), "path", other)
        self._metrics.requests.labels(route=route, status=str(status)).inc()
        milliseconds = round((time.monotonic() - started_at) * 1000, 1)
        line = log.debug if route in ("/", "/health", "/setup", "/metrics") and status < 400 else log.info
        facts = {"method": scope["method"], "route": route, "status": status, "milliseconds": milliseconds}
        if status in (401, 403, 429):
            if not self._refusals.spend(""):
                self._num_unlogged += 1
                return
            if self._num_unlogged:
                facts["not_logged_before"], self._num_unlogged = self._num_unlogged, 0
        line("request", **facts)


def _failed(request: Request, incident: str) -> Response:
    """Return the answer to a request that failed unexpectedly: a page for a person at the console, else JSON."""
    message = (
        f"an unexpected error, incident {incident}: the server's log has this number beside what happened"
    )
    try:
        if wants_page(request):
            return error_page(request, message, status=500)
    except Exception as error:  # whatever failed, the page may fail for the same reason
        log.error("the page of an error failed", incident=incident, error=type(error).__name__)
    return answer("internal", message, status=500)
