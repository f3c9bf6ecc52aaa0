"""Encryption of what identifies patients in the database of a site."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def site_cipher(secret: bytes, purpose: str) -> Fernet:
    """Return a cipher (Fernet: AES-128-CBC with HMAC-SHA-256) whose key is derived from a secret (HKDF, RFC 5869).

    Args:
        secret: the site's patient secret.
        purpose: of what is encrypted; what has another purpose has another key.
    """
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"yolo-mlsam {purpose}".encode())
    return Fernet(base64.urlsafe_b64encode(key.derive(secret)))
