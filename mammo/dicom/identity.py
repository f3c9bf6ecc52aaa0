"""Finds patient identifiers in a file and its path; reports names of attributes, never their values."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from mammo.dicom.dataset import text
from mammo.dicom.spelling import DENSE, spellings, split_camel_case, words_of

NEUTRAL = (
    "patient|subject|case|name|test|image|study|exam|data|dataset|male|female|breast|mammo|mammogram|mammography|"
    "left|right|view|id"
)
"""Words that accompany a pseudonym and identify nobody."""

PSEUDONYM = re.compile(
    rf"(?:{NEUTRAL})*(?:(?:anonym|pseudonym|deidentif|аноним)\w*"
    rf"|(?:anon|removed|synthetic|phantom|unknown|test(?:patient|case)|匿名|익명)(?:{NEUTRAL}|anon)*)"
)
"""Whole words that replace a name: `anon` does; MANON and LEBANON are names."""

TWO_WORDS = re.compile(r"\b(test|de) (?=(?:patient|case|identif))")
"""First word of a two-word pseudonym; the two are joined."""

BIRTH_DATE = re.compile(r"\d{4,8}")
PLACEHOLDER_BIRTH_DATES = {"19000101", "00010101", "19700101"}

NOT_NAMES = re.compile(
    rf"{NEUTRAL}|dr|med|prof|mrs|miss|mr|ms|frau|herr|madame|mme|von|van|vom|zur|der|den|del|dos|das|des|della|bin|bint|"
    r"ibn|abu|the|and|jun|jr|sen|sr|iii"
)
"""Titles and name particles, which are common words in paths."""

MIN_WORD, MIN_PART = 3, 5
"""Minimum number of letters of a name to match a whole word of a path, and a part of a word. Shorter words match only
next to each other (`Li_Na`): one or two letters alone would match every path."""

MAX_WORDS = 12
"""Maximum number of words of a name that are compared."""


@dataclass(frozen=True, kw_only=True)
class Identifiers:
    """Identifiers of a patient in normalised spelling (see `spellings`). For comparison only."""

    names: tuple[tuple[str, ...], ...] = ()
    """Words of the name, for each spelling of each group (alphabetic, ideographic, phonetic)."""

    numbers: tuple[str, ...] = ()
    """Spellings of the PatientID, its parts separated by single spaces."""

    birth_date: str = ""
    """YYYYMMDD, or empty."""


def identifying(dataset: Dataset) -> tuple[str, ...]:
    """Keywords of the attributes that identify a person; empty when PatientIdentityRemoved is YES.

    A PatientID alone identifies: its issuer can look the person up.
    """
    if text(dataset, "PatientIdentityRemoved").upper() == "YES":
        return ()
    named = [keyword for keyword in ("PatientName", "PatientID") if not is_pseudonym(text(dataset, keyword))]
    if _birth_date(dataset):
        named.append("PatientBirthDate")
    return tuple(named)


def is_pseudonym(value: str) -> bool:
    """Whether a name or ID is empty or consists of placeholder words only.

    A number alone is not a pseudonym, since hospitals number their patients. One other word makes the text a name.
    """
    spelled = " ".join(_parts(spellings(value)[0]))
    parts = TWO_WORDS.sub(r"\1", spelled).split()
    pseudonyms = [part for part in parts if any(map(PSEUDONYM.fullmatch, words_of(part)))]
    neutral = (re.search(rf"\d|^[a-z]$|^(?:{NEUTRAL})+$", part) for part in parts if part not in pseudonyms)
    return not spelled.replace("x", "").strip() or (bool(pseudonyms) and all(neutral))


def identifiers(dataset: Dataset) -> Identifiers:
    """Name, ID and birth date of the patient, without pseudonyms; empty when PatientIdentityRemoved is YES."""
    if text(dataset, "PatientIdentityRemoved").upper() == "YES":
        return Identifiers()
    groups = [] if is_pseudonym(name := text(dataset, "PatientName")) else [*name.split("=")]
    groups += filter(None, map(_as_utf_8, groups))
    names = dict.fromkeys(
        tuple(word for word in words_of(spelled)[:MAX_WORDS] if not NOT_NAMES.fullmatch(word))
        for group in groups
        for spelled in spellings(group)
    )
    number = text(dataset, "PatientID")
    numbers = () if is_pseudonym(number) else spellings(number)
    return Identifiers(
        names=tuple(filter(None, names)),
        numbers=tuple(spaced for each in numbers if len(spaced := " ".join(_parts(each))) >= MIN_WORD),
        birth_date=_birth_date(dataset) if len(_birth_date(dataset)) == 8 else "",
    )


def mentions(path: str, patient: Identifiers) -> bool:
    """Whether a path contains the name, the ID or the birth date of a patient."""
    spelled = (*spellings(path), *spellings(split_camel_case(path)))
    return any(_mentions_name(each, name) for each in spelled for name in patient.names) or any(
        _mentions_number(" ".join(_parts(each)), patient) for each in spelled
    )


def _mentions_name(path: str, name: tuple[str, ...]) -> bool:
    """Whether a path contains a long enough word of a name, or two of its words next to each other."""
    words = words_of(path)
    vocabulary = set(words)
    if any(_contains_word(path, vocabulary, word) for word in name):
        return True
    if len(name) == 1:
        return len(name[0]) > 1 and name[0] in vocabulary
    pairs = [
        pair
        for pair in itertools.permutations(name, 2)
        if all(len(word) > 1 or DENSE.fullmatch(word) for word in pair)
    ]
    neighbours = set(itertools.pairwise(words))
    return any(pair in neighbours or _contains_word(path, vocabulary, "".join(pair)) for pair in pairs)


def _contains_word(path: str, words: set[str], word: str) -> bool:
    """Whether a word is one of the words of a path or, if it is long enough, a part of one."""
    if DENSE.fullmatch(word):
        return word in (path if len(word) > 1 else words)
    return (len(word) >= MIN_PART and word in path) or (len(word) >= MIN_WORD and word in words)


def _mentions_number(path: str, patient: Identifiers) -> bool:
    """Whether a path, its parts separated by single spaces, contains the ID or the birth date in any common order."""
    for number in patient.numbers:
        if f" {number} " in f" {path} ":
            return True
        if len(number) >= MIN_PART:
            # A number inside a longer number is a different number, except for leading zeros.
            before = r"(?<!\d)0*" if number[0].isdigit() else ""
            after = r"(?!\d)" if number[-1].isdigit() else ""
            if re.search(before + re.escape(number) + after, path):
                return True
    if not patient.birth_date:
        return False
    year, month, day = patient.birth_date[:4], patient.birth_date[4:6], patient.birth_date[6:]
    orders = ((year, month, day), (day, month, year), (month, day, year))
    pattern = "|".join(" ?".join(order) for order in orders)
    return re.search(rf"(?<!\d)(?:{pattern})(?!\d)", path) is not None


def _birth_date(dataset: Dataset) -> str:
    """Digits of the birth date; empty when missing or a placeholder."""
    birth = text(dataset, "PatientBirthDate").replace("-", "").replace(".", "")
    return birth if BIRTH_DATE.match(birth) and birth not in PLACEHOLDER_BIRTH_DATES else ""


def _parts(spelled: str) -> list[str]:
    """Split a text into runs of letters and digits."""
    return re.findall(r"[^\W_]+", spelled)


def _as_utf_8(name: str) -> str | None:
    """Re-decode a name from a file that uses UTF-8 without declaring it; None when that is impossible."""
    try:
        return None if name.isascii() else name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None
