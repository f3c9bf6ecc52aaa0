"""Authentication: Label Studio by basic auth, its webhooks by a secret header, other programs by API keys."""

from __future__ import annotations

from ipaddress import ip_address

from fastapi import HTTPException, Request
from starlette.datastructures import Headers

from backend.credentials import has_basic, has_key, has_webhook_secret
from backend.dependencies import ServicesDep
from backend.services import Services
from mammo.labelstudio.client import SECRET_HEADER
from mammo.settings import PREFIX, Settings

WEBHOOK = "/webhook"

MIN_LENGTH = 12
"""Length in characters from which a secret cannot be guessed over HTTP. Requests with such a secret are exempt from the
limit on wrong secrets from their address. For shorter secrets that limit is the only protection."""


async def require_basic(request: Request, services: ServicesDep) -> None:
    """Require user and password, or an API key.

    Raises:
        HTTPException: 401.
    """
    headers, settings = request.headers, services.settings
    if not (
        _is_insecure_local(request, services) or has_basic(headers, settings) or has_key(headers, settings)
    ):
        raise _refusal(
            "user name or password is wrong; Label Studio sends those of the project's model settings"
        )


async def require_webhook(request: Request, services: ServicesDep) -> None:
    """Require the secret header, or basic auth, which Label Studio's ML client sends with START_TRAINING.

    Raises:
        HTTPException: 401.
    """
    headers, settings = request.headers, services.settings
    if not (
        has_webhook_secret(headers, settings)
        or has_basic(headers, settings)
        or _is_insecure_local(request, services)
    ):
        raise _refusal(f"the {SECRET_HEADER} header is missing or wrong; connect the project again")


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


def _is_insecure_local(request: Request, services: Services) -> bool:
    """Whether, with `--insecure`, a request comes from this machine and addresses it by a loopback name.

    No page of another site can do both.
    """
    if not services.insecure or request.client is None:
        return False
    return is_loopback(request.client.host) and is_loopback(request.url.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(message: str) -> HTTPException:
    return HTTPException(401, message, headers={"WWW-Authenticate": 'Basic realm="yolo-mlsam"'})
