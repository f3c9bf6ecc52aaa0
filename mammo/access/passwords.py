"""Passwords of the console, kept as Argon2id in PHC format, with the parameters of RFC 9106's second choice."""

from __future__ import annotations

import os
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mammo.errors import InvalidAccess

MIN_PASSWORD = 10
"""Fewest characters of a password."""

MAX_PASSWORD = 200

MEMORY_KIB = 64 * 2**10
PASSES = 3
LANES = 4


def hashed(password: str) -> str:
    """Return a password's hash, with a new salt.

    Raises:
        InvalidAccess: it is too short or too long.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidAccess(
            f"a password needs {MIN_PASSWORD} to {MAX_PASSWORD} characters; this one has {len(password)}"
        )
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)
    return kdf.derive_phc_encoded(_bytes(password))


def is_right(password: str, stored: str) -> bool:
    """Return whether a password has this hash."""
    if len(password) > MAX_PASSWORD:
        return False
    try:
        Argon2id.verify_phc_encoded(_bytes(password), stored)
    except InvalidKey:
        return False
    return True


def _bytes(password: str) -> bytes:
    """Encode as UTF-8 in NFC, because keyboards write an umlaut as one code point or as two."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace")
