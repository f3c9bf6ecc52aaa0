"""Credentials as text: what Label Studio and other programs can send of a password, and how two forms of one compare.

Label Studio sends user, password and header with `requests`, which writes Latin-1; curl and browsers write UTF-8. A
keyboard or a file may hold an umlaut as one character or as two.
"""

from __future__ import annotations

import unicodedata


def sendable(text: str) -> str:
    """A password, user name or secret as both sides write it: composed (NFC), without white space around it.

    A secret that was read from a file brings the file's last line end, which no header can carry.

    Raises:
        ValueError: it holds a character that Label Studio cannot send.
    """
    composed = unicodedata.normalize("NFC", text.strip())
    try:
        composed.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start + 1} is not in Latin-1, and Label Studio sends Latin-1 only: it would fail at "
            "each of its requests; take letters, digits and signs of Western European keyboards (no €)"
        ) from None
    if any(unicodedata.category(character) == "Cc" for character in composed):
        raise ValueError("it holds a line end, a tab or another control character, which no header can carry")
    return composed


def sendable_user(text: str) -> str:
    """The same for a user name.

    Raises:
        ValueError: also when it is empty, or has a colon.
    """
    if not text.strip() or ":" in text:
        raise ValueError("expected a name without a colon, which ends it in basic auth")
    return sendable(text)


def readings(sent: bytes) -> tuple[str, str]:
    """What bytes in a header may say: as UTF-8, or else as Latin-1; composed. One of two may be the right one."""
    latin = sent.decode("latin-1")
    try:
        return unicodedata.normalize("NFC", sent.decode("utf-8")), latin
    except UnicodeDecodeError:
        return latin, latin
