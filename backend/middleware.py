"""Around every request: a body limit, security headers, a log line, and no traceback to a caller. Plain ASGI."""

from __future__ import annotations

import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.error_table import answer
from backend.logs import where
from backend.metrics import Metrics

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

log = structlog.get_logger()


class BodyLimit:
    """Refuses a body that says it is too long, and stops reading one that turns out to be."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "0")
        if not (stated.isascii() and stated.isdecimal()) or int(stated) > self._max_bytes:
            refusal = answer("too_large", f"a body may have {self._max_bytes} bytes", status=413)
            await refusal(scope, receive, send)
            return
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_bytes:
                raise HTTPException(413, f"a body may have {self._max_bytes} bytes")
            return message

        await self._app(scope, limited, send)


class Guard:
    """Outermost: security headers, one log line and one count per request, 500 without a word of the error."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

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
            log.info("the caller went away before its request was whole")
        except Exception as error:  # the last place that can keep a traceback from a caller
            log.error("unexpected error", error=type(error).__name__, where=where(error))
            if status == 0:
                failed = answer("internal", "this is a fault of ours; the server's log has it", status=500)
                await failed(scope, receive, guarded)
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route=route, status=str(status)).inc()
        milliseconds = round((time.monotonic() - began) * 1000, 1)
        line = log.debug if route in ("/", "/health", "/setup", "/metrics") and status < 400 else log.info
        line("request", method=scope["method"], route=route, status=status, milliseconds=milliseconds)
