"""Patient and exam identifiers, normalised so that task data, tables, JSON and DICOM can be compared.

    4700, 4700.0, "4700", "4700 ", "４７００"      equal
    "0047" and 47                                   different: leading zeros are part of a hospital's number
    "p1" and "P1"                                   different: some sites distinguish case

Text is normalised by NFKC rather than NFC: full-width digits, ligatures and no-break spaces come from keyboards and
spreadsheets. If this merges two patients, the folds are slightly less balanced. The opposite error, one patient under
two identifiers, would put views of one patient on both sides of a split.

A patient key has 16 hexadecimal digits. People read its `pseudonym`, which nothing is compared by.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata

from mammo.errors import InvalidTaskData

MAX_EXACT = 2**53
"""Largest whole number up to which IEEE 754 doubles represent every integer."""

MAX_KEY = 64
"""Maximum length of an identifier in tables and manifests, in characters."""

_PATIENT_KEY = re.compile(r"[0-9a-f]{16}")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_WHOLE_NUMBER = re.compile(r"(0|-?[1-9][0-9]*)\.0+")
"""A whole number as a spreadsheet writes it when another cell of the column is empty."""


def identifier(value: object) -> str | None:
    """Return the normalised identifier; None for a missing value (None, blank text or NaN).

    Args:
        value: from JSON, CSV or DICOM.

    Raises:
        InvalidTaskData: a bool, list, object or other type, or a number that has lost digits: the value identifies
            a patient, but it is unclear which (code `identifier`).
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _invalid(f"expected text or a whole number, got {_type_name(value)}")
    if isinstance(value, float):
        return _identifier_of_float(value)
    return _normalised(value) or None if isinstance(value, str) else str(int(value))


def stored_key(identifier: str) -> str:
    """Return the identifier if it has at most `MAX_KEY` characters, otherwise its digest."""
    if len(identifier) <= MAX_KEY:
        return identifier
    return "long-" + hashlib.sha256(identifier.encode()).hexdigest()[:48]


def pseudonym(patient: object) -> str:
    """Return what people read in place of a patient key, such as `7K4M-2QX9`; what is no such key stays as it is.

    It is the first 40 bits of the key in Crockford's base 32, which has no I, L, O or U. So it is the same wherever the
    key is, and sorts as the key does. Two of 10,000 patients share one with a probability of 0.00005. It is for the
    eye; the key alone is the identity.

    Args:
        patient: as the data of a task state it, which may be anything.
    """
    text = "" if patient is None else str(patient)
    if not _PATIENT_KEY.fullmatch(text):
        return text
    bits = int(text[:10], 16)
    letters = "".join(_CROCKFORD[bits >> shift & 31] for shift in range(35, -1, -5))
    return f"{letters[:4]}-{letters[4:]}"


def _identifier_of_float(value: float) -> str | None:
    if math.isnan(value):
        return None
    if not value.is_integer():
        raise _invalid("expected text or a whole number, got a number with a fraction; write it as text")
    if abs(value) > MAX_EXACT:
        raise _invalid(
            "a number this large has lost digits as a JSON or spreadsheet number; write it as text"
        )
    return str(int(value))


def _normalised(text: str) -> str:
    """Apply NFKC, drop control and format characters, and collapse white space."""
    categories = {character: unicodedata.category(character) for character in set(text)}
    if "Cs" in categories.values():
        raise _invalid("the text contains a lone surrogate, half a character; write it again")
    visible = "".join(each for each in text if each.isspace() or categories[each] not in ("Cc", "Cf"))
    normalised = " ".join(unicodedata.normalize("NFKC", visible).split())
    return normalised.partition(".")[0] if _WHOLE_NUMBER.fullmatch(normalised) else normalised


def _type_name(value: object) -> str:
    names = {bool: "a truth value", list: "a list", tuple: "a list", dict: "an object", bytes: "bytes"}
    return names.get(type(value), type(value).__name__)


def _invalid(reason: str) -> InvalidTaskData:
    return InvalidTaskData(f"this value does not identify a patient or an exam: {reason}", code="identifier")
