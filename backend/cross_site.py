"""OwnPagesOnly: protection against cross-site request forgery.

A browser authenticates requests of any page by itself: it runs on this machine (`--insecure`), or it sends a stored
password. It also sends headers with the origin of a request, which no page can change. Label Studio, curl and other
programs send none, and pass.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.error_table import answer

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Browsers do not show their responses to pages of other sites."""

DEFAULT_PORTS = {"http": 80, "https": 443}


class OwnPagesOnly:
    """Refuses requests of pages of other sites, or of other ports of this one, with 403."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"].upper() not in SAFE_METHODS:
            headers = Headers(scope=scope)
            if is_foreign(headers):
                refusal = answer(
                    "cross_site",
                    "this request comes from a page of another site; use this site or curl",
                    status=403,
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_foreign(headers: Headers) -> bool:
    """Whether a browser's headers say that a request comes from a page of another origin.

    Browsers send `Sec-Fetch-Site` to loopback addresses and over https, and `Origin` with unsafe methods.
    """
    sites = {each.strip().lower() for each in headers.getlist("Sec-Fetch-Site")}
    if sites - {"same-origin", "none"}:
        return True
    # A proxy may change the Host header, but not Sec-Fetch-Site.
    if sites == {"same-origin"}:
        return False
    return any(not _is_ours(origin, headers.get("Host", "")) for origin in headers.getlist("Origin"))


def _is_ours(origin: str, host: str) -> bool:
    """Whether `scheme://host[:port]` is the address that the request was sent to."""
    try:
        theirs = urlsplit(origin.strip().lower())
        ours = urlsplit(f"{theirs.scheme}://{host.strip().lower()}")
        default = DEFAULT_PORTS[theirs.scheme]
        return bool(theirs.hostname) and (theirs.hostname, theirs.port or default) == (
            ours.hostname,
            ours.port or default,
        )
    except (KeyError, ValueError):  # such as `null`, or the scheme of a browser extension
        return False
