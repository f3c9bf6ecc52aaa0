"""Encoding of credentials: which passwords Label Studio can send, and which passwords a received header may contain.

Label Studio sends user names, passwords and headers with `requests`, which encodes them as Latin-1; curl and browsers
use UTF-8. Keyboards and files may contain an umlaut as one code point or as two.
"""

from __future__ import annotations

import unicodedata


def sendable(text: str) -> str:
    """Return a password, user name or secret in the form that both sides use: NFC, without surrounding white space.

    White space is stripped because a secret read from a file ends with a newline, which no header can contain.

    Raises:
        ValueError: the text contains a character that Label Studio cannot send.
    """
    composed = unicodedata.normalize("NFC", text.strip())
    try:
        composed.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start + 1} is not in Latin-1, the only encoding in which Label Studio sends "
            "credentials, so all of its requests would fail; use letters, digits and signs of Western European "
            "keyboards (no €)"
        ) from None
    if any(unicodedata.category(character) == "Cc" for character in composed):
        raise ValueError(
            "it contains a newline, a tab or another control character, which no header can contain; remove it"
        )
    return composed


def sendable_user(text: str) -> str:
    """Return a user name as `sendable` does.

    Raises:
        ValueError: also for an empty name, and for one with a colon.
    """
    if not text.strip() or ":" in text:
        raise ValueError("expected a name without a colon, which ends the user name in basic auth")
    return sendable(text)


def decodings(header: bytes) -> tuple[str, str]:
    """Decode a header's bytes as UTF-8 (in NFC) and as Latin-1; the client may have used either.

    The first element equals the second when the bytes are not UTF-8.
    """
    latin = header.decode("latin-1")
    try:
        return unicodedata.normalize("NFC", header.decode("utf-8")), latin
    except UnicodeDecodeError:
        return latin, latin
