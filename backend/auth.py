"""Who may talk to the backend: Label Studio with basic auth, its webhooks with a secret, automation with a key."""

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
"""Characters from which on a secret is not found by trying over HTTP. Whoever shows a longer one is never shut out by
the guesses of others from his address; a shorter one is, because that is all that protects it."""


async def require_basic(request: Request, services: ServicesDep) -> None:
    """Refuse whoever knows neither user and password nor a key.

    Raises:
        HTTPException: 401.
    """
    headers, settings = request.headers, services.settings
    if not (_from_here(request, services) or has_basic(headers, settings) or has_key(headers, settings)):
        raise _refusal("user name or password is wrong; Label Studio sends what its model settings hold")


async def require_webhook(request: Request, services: ServicesDep) -> None:
    """Let in the secret header, or basic auth: START_TRAINING comes from the ML client, which sends that.

    Raises:
        HTTPException: 401.
    """
    headers, settings = request.headers, services.settings
    if not (
        has_webhook_secret(headers, settings) or has_basic(headers, settings) or _from_here(request, services)
    ):
        raise _refusal(f"the webhook lacks the right {SECRET_HEADER} header; connect the project again")


def is_never_shut_out(path: str, headers: Headers, settings: Settings) -> bool:
    """Whether a request shows what opens its path, however many wrong secrets came from its address.

    An event is sent once: the right webhook secret opens `/webhook` whatever its length.
    """
    if path == WEBHOOK:
        return has_webhook_secret(headers, settings) or _has_long_basic(headers, settings)
    return _has_long_basic(headers, settings) or has_key(headers, settings)


def short_secrets(settings: Settings) -> list[str]:
    """Names of the settings whose secret somebody may find by trying."""
    secrets = {"AUTH_PASSWORD": settings.auth_password, "WEBHOOK_SECRET": settings.webhook_secret}
    return [PREFIX + name for name, value in secrets.items() if len(value.get_secret_value()) < MIN_LENGTH]


def _has_long_basic(headers: Headers, settings: Settings) -> bool:
    long = len(settings.auth_password.get_secret_value()) >= MIN_LENGTH
    return long and has_basic(headers, settings)


def _from_here(request: Request, services: Services) -> bool:
    """With `--insecure`: from this machine, and addressed as this machine (no page elsewhere can do both)."""
    if not services.insecure or request.client is None:
        return False
    return is_loopback(request.client.host) and is_loopback(request.url.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(message: str) -> HTTPException:
    return HTTPException(401, message, headers={"WWW-Authenticate": 'Basic realm="yolo-mlsam"'})
