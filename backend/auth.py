"""Authentication: Label Studio by basic auth, its webhooks by a secret header, other programs by API keys."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import URL, Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.console.assets import STATIC_PATH
from backend.credentials import has_basic, has_key, has_webhook_secret
from backend.error_table import answer
from backend.services import Services
from mammo.labelstudio.client import SECRET_HEADER
from mammo.settings import PREFIX, Settings

WEBHOOK = "/webhook"

OPEN_PATHS = ("/health", "/")
"""Paths that need no secret, beside the console's style sheet and script."""

WRONG = "user name or password is wrong; Label Studio sends those of the project's model settings"
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
        if scope["type"] == "http" and not is_open(scope["path"]) and not self._admits(scope):
            is_event = scope["path"] == WEBHOOK
            refusal = answer("http_401", WRONG_EVENT if is_event else WRONG, status=401, headers=CHALLENGE)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        """Whether there is user and password, an API key, or at `/webhook` its secret in place of a key.

        Label Studio's ML client sends START_TRAINING to `/webhook` with user and password.
        """
        headers, settings = Headers(scope=scope), self._services.settings
        if self._services.insecure and is_local(scope):
            return True
        other = has_webhook_secret if scope["path"] == WEBHOOK else has_key
        return has_basic(headers, settings) or other(headers, settings)


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


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine and addresses it by a loopback name.

    No page of another site can do both.
    """
    client = scope.get("client")
    if client is None or not is_loopback(client[0]):
        return False
    try:
        return is_loopback(URL(scope=scope).hostname or "")
    except ValueError:  # a Host header such as `[`
        return False


def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
