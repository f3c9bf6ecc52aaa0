"""Authentication: Label Studio by basic auth, its webhooks by a secret header, other programs by API keys."""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.callers import CSRF_HEADER, Caller, has_token, is_for_people
from backend.console.assets import STATIC_PATH
from backend.credentials import has_basic, has_key, has_webhook_secret
from backend.cross_site import SAFE_METHODS
from backend.error_table import answer
from backend.local import is_local
from backend.services import Services
from mammo.labelstudio.client import SECRET_HEADER
from mammo.settings import PREFIX, Settings

WEBHOOK = "/webhook"

LOGIN = "/console/login"

OPEN_PATHS = ("/health", "/", LOGIN)
"""Paths that need no secret, beside the console's style sheet and script."""

WRONG = "user name or password is wrong; Label Studio sends those of the project's model settings"
UNKNOWN = "log in, or send an API key: `Authorization: Bearer KEY`"
WRONG_EVENT = f"the {SECRET_HEADER} header is missing or wrong; connect the project again"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="yolo-mlsam"'}

MIN_LENGTH = 12
"""Length in characters from which a secret cannot be guessed over HTTP. Requests with such a secret are exempt from the
limit on wrong secrets from their address. For shorter secrets that limit is the only protection."""


class SecretRequired:
    """Refuses every request without a right secret with 401, before its body is read.

    Routes need not ask for secrets, so none can forget to. Strangers can send no body that is kept, and the guess that
    a request makes is counted before the next one is looked at.
    """

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_open(scope["path"]):
            people = is_for_people(scope["path"])
            refusal = _refusal_of_person(scope) if people else self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if self._admits(scope) or _key_admits(scope):
            return None
        message = WRONG_EVENT if scope["path"] == WEBHOOK else WRONG
        return answer("http_401", message, status=401, headers=CHALLENGE)

    def _admits(self, scope: Scope) -> bool:
        """Whether there is user and password, an API key, or at `/webhook` its secret in place of a key.

        Label Studio's ML client sends START_TRAINING to `/webhook` with user and password.
        """
        headers, settings = Headers(scope=scope), self._services.settings
        if self._services.insecure and is_local(scope):
            return True
        other = has_webhook_secret if scope["path"] == WEBHOOK else has_key
        return has_basic(headers, settings) or other(headers, settings)


def _key_admits(scope: Scope) -> bool:
    """Whether there is an API key of the database: an administrator's may do all, any other may read."""
    caller: Caller | None = scope.get("caller")
    if caller is None or scope["path"] == WEBHOOK:
        return False
    return caller.role == "administrator" or scope["method"].upper() in SAFE_METHODS


def _refusal_of_person(scope: Scope) -> Response | None:
    """Return the answer to a request that has no caller, or comes from a browser without its token."""
    caller: Caller | None = scope.get("caller")
    unsafe = scope["method"].upper() not in SAFE_METHODS
    is_page = not scope["path"].startswith("/api/")
    if caller is None:
        if is_page and not unsafe:
            return RedirectResponse(f"{LOGIN}?next={quote(scope['path'])}", 303)
        return answer("http_401", UNKNOWN, status=401)
    if unsafe and caller.is_browser and not is_page:
        token = Headers(scope=scope).get(CSRF_HEADER, "")
        if not has_token(caller, token):
            return answer("no_token", f"send the page's token as {CSRF_HEADER}", status=403)
    return None


def is_open(path: str) -> bool:
    """Whether a path needs no secret."""
    return path in OPEN_PATHS or path.startswith(STATIC_PATH)


def is_exempt_from_guess_limit(path: str, headers: Headers, settings: Settings) -> bool:
    """Whether a request has a right secret that cannot be guessed, so that others' wrong secrets do not block it.

    Events are sent only once, so the right webhook secret exempts `/webhook` whatever its length.
    """
    if path == WEBHOOK:
        return has_webhook_secret(headers, settings) or _has_long_basic(headers, settings)
    return _has_long_basic(headers, settings) or has_key(headers, settings)


def short_secrets(settings: Settings) -> list[str]:
    """Return the names of the settings whose secret is short enough to be guessed."""
    secrets = {"AUTH_PASSWORD": settings.auth_password, "WEBHOOK_SECRET": settings.webhook_secret}
    return [PREFIX + name for name, value in secrets.items() if len(value.get_secret_value()) < MIN_LENGTH]


def _has_long_basic(headers: Headers, settings: Settings) -> bool:
    long = len(settings.auth_password.get_secret_value()) >= MIN_LENGTH
    return long and has_basic(headers, settings)
