"""FromProxy: which requests come from a trusted proxy, and the client that it names."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class FromProxy:
    """Marks requests of trusted proxies with `from_proxy`, and applies their `X-Forwarded-For` and `-Proto`."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        """
        Args:
            proxies: networks; none: no proxy is trusted.
        """
        self._app = app
        self._forwarded = ProxyHeadersMiddleware(app, trusted_hosts=list(proxies))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client is not None and client[0] in self._forwarded.trusted_hosts:
            scope["from_proxy"] = True
            await self._forwarded(scope, receive, send)  # type: ignore[arg-type]
            return
        await self._app(scope, receive, send)
