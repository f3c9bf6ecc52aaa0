"""Errors of the console as pages. Those of the API and of all other routes stay JSON; see `backend.error_table`."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import Response

from backend.console.rendering import render


def wants_page(request: Request) -> bool:
    """Whether a person in a browser sees the answer."""
    return request.url.path.startswith("/console") and "text/html" in request.headers.get("Accept", "")


def error_page(request: Request, message: str, *, status: int) -> Response:
    """Return an error as a page that says what to do, and leads back to the page with the form."""
    came_from = urlsplit(request.headers.get("Referer", "")).path
    back = came_from if came_from.startswith("/console") and request.method != "GET" else "/console"
    sentence = message[:1].upper() + message[1:]
    return render(request, "error.html", status=status, code=status, message=sentence, back=back)
