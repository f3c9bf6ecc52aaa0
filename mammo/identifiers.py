"""Identifiers: who a patient or an exam is, as task data, tables, JSON and DICOM write it, compared as a value.

    4700, 4700.0, "4700", "4700 ", "４７００"      one and the same
    "0047" and 47                                   two: leading zeros are part of a number that a hospital gave
    "p1" and "P1"                                   two: there are sites that tell them apart

Text is normalised by NFKC, not only NFC. Full-width digits, ligatures and no-break spaces come from keyboards and
spreadsheets, not from the person. Where two people's identifiers differ in such a form only, they become one: a little
balance of the folds is lost. Were one person's taken for two, views of hers would be on both sides of a split.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata

from mammo.errors import InvalidTaskData

MAX_EXACT = 2**53
"""From here on a number with a decimal point (IEEE 754 double) no longer tells neighbours apart."""

MAX_KEY = 64
"""Longest key that tables and manifests hold, in characters."""

_WHOLE = re.compile(r"(0|-?[1-9][0-9]*)\.0+")
"""What a spreadsheet makes of a whole number when another cell of its column is empty."""


def identifier(value: object) -> str | None:
    """An identifier in the one form that is compared; None where nothing is stated: None, blank text, NaN.

    Args:
        value: out of JSON, CSV or DICOM.

    Raises:
        InvalidTaskData: a truth value, a list, an object, or a number that has lost digits: whoever wrote it meant
            somebody, and it cannot be told whom. Code `identifier`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _unreadable(f"expected text or a whole number, got {_kind(value)}")
    if isinstance(value, float):
        return _of_float(value)
    return _plain(value) or None if isinstance(value, str) else str(int(value))


def stored_key(identifier: str) -> str:
    """The identifier where it fits into a table, else a digest of it: as different as the identifiers are."""
    if len(identifier) <= MAX_KEY:
        return identifier
    return "long-" + hashlib.sha256(identifier.encode()).hexdigest()[:48]


def _of_float(value: float) -> str | None:
    if math.isnan(value):
        return None
    if not value.is_integer():
        raise _unreadable("expected text or a whole number, got a number with a fraction; write it as text")
    if abs(value) > MAX_EXACT:
        raise _unreadable("a number this large has lost digits on its way; write it as text")
    return str(int(value))


def _plain(text: str) -> str:
    """NFKC without what cannot be seen, blanks as one space, none at the ends."""
    categories = {character: unicodedata.category(character) for character in set(text)}
    if "Cs" in categories.values():
        raise _unreadable("the text holds half a character (a lone surrogate)")
    seen = "".join(each for each in text if each.isspace() or categories[each] not in ("Cc", "Cf"))
    plain = " ".join(unicodedata.normalize("NFKC", seen).split())
    return plain.partition(".")[0] if _WHOLE.fullmatch(plain) else plain


def _kind(value: object) -> str:
    known = {bool: "a truth value", list: "a list", tuple: "a list", dict: "an object", bytes: "bytes"}
    return known.get(type(value), type(value).__name__)


def _unreadable(reason: str) -> InvalidTaskData:
    return InvalidTaskData(f"a patient cannot be told by this: {reason}", code="identifier")
