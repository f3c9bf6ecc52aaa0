"""Credentials of a request: which secrets of the settings its headers contain.

Secrets are compared in constant time, and in both encodings that programs use (see `mammo.credentials`). API keys are
long and random, so the settings may store their plain SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from starlette.datastructures import Headers

from mammo.credentials import decodings
from mammo.labelstudio.client import SECRET_HEADER
from mammo.settings import Settings


def has_basic(headers: Headers, settings: Settings) -> bool:
    """Whether user and password are right."""
    # `fastapi.security.HTTPBasic` refuses passwords that are not ASCII.
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:  # not base64
        return False
    right_user = _matches(user, settings.auth_user)
    right_password = _matches(password, settings.auth_password.get_secret_value())
    return right_user and right_password


def has_key(headers: Headers, settings: Settings) -> bool:
    """Whether there is an API key whose digest is in the settings."""
    digests = [hashlib.sha256(each.encode("latin-1")).hexdigest() for each in _sent_key(headers)]
    digests += [hashlib.sha256(each.encode()).hexdigest() for each in bearer_keys(headers)]
    # Every digest is compared, so that the time does not depend on which one matches.
    return sum(_same(digest, valid) for digest in digests for valid in settings.api_key_digests) > 0


def bearer_keys(headers: Headers) -> list[str]:
    """Return the API key that was sent, in both encodings that programs use; empty without one."""
    return [each for sent in _sent_key(headers) for each in dict.fromkeys(decodings(sent.encode("latin-1")))]


def _sent_key(headers: Headers) -> list[str]:
    """Return the API key as Starlette decodes it, as Latin-1; empty without one."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    return [key.strip()] if scheme.lower() == "bearer" and key.strip() else []


def has_webhook_secret(headers: Headers, settings: Settings) -> bool:
    """Whether the webhook header has the right secret."""
    sent = headers.get(SECRET_HEADER, "").encode("latin-1")
    return _matches(sent, settings.webhook_secret.get_secret_value())


def _matches(sent: bytes, expected: str) -> bool:
    utf8, latin = decodings(sent)
    return bool(_same(utf8, expected) | _same(latin, expected))


def _same(given: str, expected: str) -> bool:
    """Compare in constant time. An empty secret never matches."""
    return bool(expected) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8"))
