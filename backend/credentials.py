"""Credentials of a request: which of the secrets in the settings its headers hold.

Compared in a time that tells nothing, and in both encodings that programs send (see `mammo.credentials`). Keys are
random and long, so that their plain SHA-256 in the settings tells nothing.
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
    # Not by `fastapi.security.HTTPBasic`: it refuses every password that is not ASCII.
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:  # no base64, or not even ASCII
        return False
    right_user = _says(user, settings.auth_user)
    right_password = _says(password, settings.auth_password.get_secret_value())
    return right_user and right_password


def has_key(headers: Headers, settings: Settings) -> bool:
    """Whether there is a key whose digest the settings hold."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        return False
    sent = key.strip().encode("latin-1")  # headers are read as Latin-1: these are the bytes that came
    digests = [hashlib.sha256(each).hexdigest() for each in (sent, *(r.encode() for r in decodings(sent)))]
    # Every digest is compared, so that the time does not tell which key was near.
    return sum(_same(digest, known) for digest in digests for known in settings.api_key_digests) > 0


def has_webhook_secret(headers: Headers, settings: Settings) -> bool:
    """Whether the header of our webhooks holds the secret."""
    sent = headers.get(SECRET_HEADER, "").encode("latin-1")
    return _says(sent, settings.webhook_secret.get_secret_value())


def _says(sent: bytes, expected: str) -> bool:
    utf8, latin = decodings(sent)
    return bool(_same(utf8, expected) | _same(latin, expected))


def _same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing; an empty secret opens nothing."""
    return bool(expected) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8"))
