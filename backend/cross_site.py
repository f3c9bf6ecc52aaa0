"""OwnPagesOnly: a page of another site cannot have a browser change anything here.

A browser sends along what opens the door without being asked to: that it runs on this machine (`--insecure`), or a
password that it was given once. It also says from where a request comes, which no page can change; Label Studio, curl
and other programs say nothing of the kind, and pass.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.error_table import answer

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. What they answer, browsers do not show to pages of other sites."""

DEFAULT_PORTS = {"http": 80, "https": 443}

log = structlog.get_logger()


class OwnPagesOnly:
    """Answers 403 to what a page of another site, or of another port of this one, would have done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"].upper() not in READING:
            headers = Headers(scope=scope)
            if is_foreign(headers):
                log.warning("refused what a page of another site asked for", method=scope["method"])
                refusal = answer(
                    "cross_site", "a page of another site asks for this; open ours, or use curl", status=403
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_foreign(headers: Headers) -> bool:
    """Whether a browser says that a request comes from a page that is not ours.

    `Sec-Fetch-Site` is sent to addresses of this machine and over https; `Origin` with everything but reading.
    """
    sites = {each.strip().lower() for each in headers.getlist("Sec-Fetch-Site")}
    if sites - {"same-origin", "none"}:
        return True
    # A proxy in front may change the host that we see, but not what the browser says of the site.
    if sites == {"same-origin"}:
        return False
    return any(not _is_ours(origin, headers.get("Host", "")) for origin in headers.getlist("Origin"))


def _is_ours(origin: str, host: str) -> bool:
    """Whether `scheme://host[:port]` is the address under which we were asked."""
    try:
        theirs = urlsplit(origin.strip().lower())
        ours = urlsplit(f"{theirs.scheme}://{host.strip().lower()}")
        default = DEFAULT_PORTS[theirs.scheme]
        return bool(theirs.hostname) and (theirs.hostname, theirs.port or default) == (
            ours.hostname,
            ours.port or default,
        )
    except (KeyError, ValueError):  # `null`, an extension's scheme, no address at all
        return False
