"""Does a file still say whose breast it shows? Answered with names of attributes, never with their values."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

from mammo.dicom.dataset import text

PSEUDONYM = re.compile(
    r"anon|pseudonym|de-?identif|removed|synthetic|phantom|test[ ^_-]*(patient|case)|unknown|^[\W_]*$|^x+$",
    re.I,
)
"""What people write where a name was. A number alone is no pseudonym: hospitals number their patients."""

BIRTH_DATE = re.compile(r"\d{4,8}")
NO_BIRTH_DATES = {"19000101", "00010101", "19700101"}


MIN_WORD, MIN_PART = 3, 5
"""Fewest characters of a name that is looked for as a word of a path, and inside a word."""


def identifying(dataset: Dataset) -> tuple[str, ...]:
    """Keywords of the attributes that name a person; empty when PatientIdentityRemoved says YES.

    A PatientID alone counts: whoever wrote it can look the person up.
    """
    if text(dataset, "PatientIdentityRemoved").upper() == "YES":
        return ()
    named = [
        keyword
        for keyword in ("PatientName", "PatientID")
        if text(dataset, keyword) and not PSEUDONYM.search(text(dataset, keyword))
    ]
    birth = text(dataset, "PatientBirthDate").replace("-", "").replace(".", "")
    if BIRTH_DATE.match(birth) and birth not in NO_BIRTH_DATES:
        named.append("PatientBirthDate")
    return tuple(named)


def identifiers(dataset: Dataset) -> frozenset[str]:
    """What a path must not contain: the parts of the name, the ID and the birth date, in lower case.

    Empty when PatientIdentityRemoved says YES: then they are pseudonyms.
    """
    if text(dataset, "PatientIdentityRemoved").upper() == "YES":
        return frozenset()
    name = re.split(r"[\W_]+", text(dataset, "PatientName").lower())
    whole = (text(dataset, keyword).lower() for keyword in ("PatientID", "PatientBirthDate"))
    return frozenset(part for part in (*name, *whole) if len(part) >= MIN_WORD)


def mentions(path: str, names: frozenset[str]) -> bool:
    """True when a path contains one of `names`, as a word or, the longer ones, inside a word."""
    lower = path.lower()
    return any(
        (len(name) >= MIN_PART and name in lower)
        or re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", lower) is not None
        for name in names
    )
