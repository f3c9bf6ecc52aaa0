"""Who may talk to the backend: Label Studio with basic auth, its webhooks with a secret header, automation with a key.

Keys are random and long, so that their plain SHA-256 in the settings tells nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from ipaddress import ip_address

from fastapi import HTTPException, Request

from backend.dependencies import ServicesDep
from backend.services import Services
from mammo.labelstudio.client import SECRET_HEADER
from mammo.settings import Settings


async def require_basic(request: Request, services: ServicesDep) -> None:
    """Refuse whoever knows neither user and password nor a key.

    Raises:
        HTTPException: 401.
    """
    if not (
        _from_here(request, services)
        or _has_basic(request, services.settings)
        or _has_key(request, services.settings)
    ):
        raise _refusal("user name or password is wrong; Label Studio sends what its model settings hold")


async def require_webhook(request: Request, services: ServicesDep) -> None:
    """Let in the secret header, or basic auth: START_TRAINING comes from the ML client, which sends that.

    Raises:
        HTTPException: 401.
    """
    secret = services.settings.webhook_secret.get_secret_value()
    if not (
        _same(request.headers.get(SECRET_HEADER, ""), secret)
        or _has_basic(request, services.settings)
        or _from_here(request, services)
    ):
        raise _refusal(f"the webhook lacks the right {SECRET_HEADER} header; connect the project again")


def _has_basic(request: Request, settings: Settings) -> bool:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except ValueError:  # no base64, not even ASCII, or no UTF-8 in it
        return False
    right_user = _same(user, settings.auth_user)
    right_password = _same(password, settings.auth_password.get_secret_value())
    return right_user and right_password


def _has_key(request: Request, settings: Settings) -> bool:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        return False
    digest = hashlib.sha256(key.strip().encode()).hexdigest()
    # Every digest is compared, so that the time does not tell which key was near.
    return sum(_same(digest, known) for known in settings.api_key_digests) > 0


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


def _same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing; an empty secret opens nothing."""
    return bool(expected) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8"))


def _refusal(message: str) -> HTTPException:
    return HTTPException(401, message, headers={"WWW-Authenticate": 'Basic realm="yolo-mlsam"'})
