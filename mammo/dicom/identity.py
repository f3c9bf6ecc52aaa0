"""Does a file, or its path, still say whose breast it shows? Answered with names of attributes, never with values."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from mammo.dicom.dataset import text
from mammo.dicom.spelling import DENSE, camel_case_apart, spellings, words_of

NEUTRAL = (
    "patient|subject|case|name|test|image|study|exam|data|dataset|male|female|breast|mammo|mammogram|mammography|"
    "left|right|view|id"
)
"""Words that stand beside a pseudonym, and name nobody."""

PSEUDONYM = re.compile(
    rf"(?:{NEUTRAL})*(?:(?:anonym|pseudonym|deidentif|аноним)\w*"
    rf"|(?:anon|removed|synthetic|phantom|unknown|test(?:patient|case)|匿名|익명)(?:{NEUTRAL}|anon)*)"
)
"""A whole word that people write where a name was: `anon` is one, MANON and LEBANON are names."""

TWO_WORDS = re.compile(r"\b(test|de) (?=(?:patient|case|identif))")
"""Begins a pseudonym of two words, which are read as one."""

BIRTH_DATE = re.compile(r"\d{4,8}")
NO_BIRTH_DATES = {"19000101", "00010101", "19700101"}

NOT_NAMES = re.compile(
    rf"{NEUTRAL}|dr|med|prof|mrs|miss|mr|ms|frau|herr|madame|mme|von|van|vom|zur|der|den|del|dos|das|des|della|bin|bint|"
    r"ibn|abu|the|and|jun|jr|sen|sr|iii"
)
"""Parts of names and titles that are words of many paths."""

MIN_WORD, MIN_PART = 3, 5
"""Fewest letters of a name that is looked for as a word of a path, and inside a word. Shorter parts are looked for
beside each other (`Li_Na`): one or two letters alone would be found in every path."""

MAX_WORDS = 12
"""Words of a name that are looked for."""


@dataclass(frozen=True, kw_only=True)
class Identifiers:
    """What a path must not contain, in the spellings of `spellings`. For comparison only."""

    names: tuple[tuple[str, ...], ...] = ()
    """Words of each spelling of each group (alphabetic, ideographic, phonetic) of the name."""

    numbers: tuple[str, ...] = ()
    """The PatientID, its parts separated by single spaces."""

    birth_date: str = ""
    """Eight digits, or nothing."""


def identifying(dataset: Dataset) -> tuple[str, ...]:
    """Keywords of the attributes that name a person; empty when PatientIdentityRemoved says YES.

    A PatientID alone counts: whoever wrote it can look the person up.
    """
    if text(dataset, "PatientIdentityRemoved").upper() == "YES":
        return ()
    named = [keyword for keyword in ("PatientName", "PatientID") if not is_pseudonym(text(dataset, keyword))]
    if _birth_date(dataset):
        named.append("PatientBirthDate")
    return tuple(named)


def is_pseudonym(value: str) -> bool:
    """Whether a name or ID consists of what people write where a name was, or of nothing.

    A number alone is no pseudonym, since hospitals number their patients; and one other word makes it a name.
    """
    spelled = " ".join(_parts(spellings(value)[0]))
    parts = TWO_WORDS.sub(r"\1", spelled).split()
    pseudonyms = [part for part in parts if any(map(PSEUDONYM.fullmatch, words_of(part)))]
    neutral = (re.search(rf"\d|^[a-z]$|^(?:{NEUTRAL})+$", part) for part in parts if part not in pseudonyms)
    return not spelled.replace("x", "").strip() or (bool(pseudonyms) and all(neutral))


def identifiers(dataset: Dataset) -> Identifiers:
    """What a path must not contain: the name, the ID and the birth date.

    Nothing when PatientIdentityRemoved says YES, and nothing of a pseudonym.
    """
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


def mentions(path: str, found: Identifiers) -> bool:
    """True when a path contains the name, the ID or the birth date."""
    spelled = (*spellings(path), *spellings(camel_case_apart(path)))
    return any(_names(each, words) for each in spelled for words in found.names) or any(
        _numbers(" ".join(_parts(each)), found) for each in spelled
    )


def _names(path: str, name: tuple[str, ...]) -> bool:
    """Whether a path contains words of a name: one that is long enough, or two beside each other."""
    words = words_of(path)
    whole = set(words)
    if any(_contains(path, whole, word) for word in name):
        return True
    if len(name) == 1:
        return len(name[0]) > 1 and name[0] in whole
    pairs = [
        pair
        for pair in itertools.permutations(name, 2)
        if all(len(word) > 1 or DENSE.fullmatch(word) for word in pair)
    ]
    beside = set(itertools.pairwise(words))
    return any(pair in beside or _contains(path, whole, "".join(pair)) for pair in pairs)


def _contains(path: str, words: set[str], word: str) -> bool:
    if DENSE.fullmatch(word):
        return word in (path if len(word) > 1 else words)
    return (len(word) >= MIN_PART and word in path) or (len(word) >= MIN_WORD and word in words)


def _numbers(path: str, found: Identifiers) -> bool:
    """Whether a path, its parts separated by single spaces, contains the ID or the birth date, in any usual order."""
    for number in found.numbers:
        if f" {number} " in f" {path} ":
            return True
        if len(number) >= MIN_PART:
            # A number inside a longer number is another one, but for zeros before it.
            before = r"(?<!\d)0*" if number[0].isdigit() else ""
            after = r"(?!\d)" if number[-1].isdigit() else ""
            if re.search(before + re.escape(number) + after, path):
                return True
    if not found.birth_date:
        return False
    year, month, day = found.birth_date[:4], found.birth_date[4:6], found.birth_date[6:]
    orders = ((year, month, day), (day, month, year), (month, day, year))
    pattern = "|".join(" ?".join(order) for order in orders)
    return re.search(rf"(?<!\d)(?:{pattern})(?!\d)", path) is not None


def _birth_date(dataset: Dataset) -> str:
    """Digits of the birth date; nothing where there is none, or one that people write where there is none."""
    birth = text(dataset, "PatientBirthDate").replace("-", "").replace(".", "")
    return birth if BIRTH_DATE.match(birth) and birth not in NO_BIRTH_DATES else ""


def _parts(spelled: str) -> list[str]:
    """Runs of letters and digits."""
    return re.findall(r"[^\W_]+", spelled)


def _as_utf_8(name: str) -> str | None:
    """The name of a file that is in UTF-8 and does not say so; None when it cannot be."""
    try:
        return None if name.isascii() else name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None
