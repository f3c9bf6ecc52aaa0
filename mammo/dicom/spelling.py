"""Normalises spellings that differ between people, archives and file systems, in any script.

`Müller`, `MÜLLER`, `Mu` + combining diaeresis + `ller` (as macOS writes file names) and full-width letters become one
spelling; `Mueller` is a second one.
"""

from __future__ import annotations

import re
import unicodedata

GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
"""Transliteration of umlauts on keyboards without them."""

BARRED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h"}
)
"""Letters that Unicode normalisation does not decompose."""

HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
"""Katakana to hiragana: the phonetic group of a name may use either."""

DIACRITICS = re.compile("[\u0300-\u036f]")
"""Diacritics of Latin, Greek and Cyrillic; combining marks of other scripts are vowels and are preserved."""

DENSE = re.compile("[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+")
"""Chinese, Japanese and Korean: written without spaces, with names of one or two characters."""


def spellings(text: str) -> tuple[str, ...]:
    """Return one or two normalised spellings of a text; texts that a reader considers equal share one."""
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(_visible(character) for character in plain).casefold()
    composed = unicodedata.normalize("NFC", plain)
    return tuple(dict.fromkeys(_fold(each) for each in (composed, composed.translate(GERMAN))))


def words_of(text: str) -> list[str]:
    """Split a text into runs of letters and their marks; a digit ends a word."""
    return "".join(c if unicodedata.category(c)[0] in "LM" else " " for c in text).split()


def split_camel_case(text: str) -> str:
    """Insert spaces at case changes: `LiNa` becomes `Li Na`."""
    parts = [
        f" {c}" if c.isupper() and before.islower() else c
        for before, c in zip(" " + text, text, strict=False)
    ]
    return "".join(parts)


def _visible(character: str) -> str:
    """Drop invisible characters (direction marks, joiners); replace control and unassigned ones by a space."""
    category = unicodedata.category(character)
    return "" if category == "Cf" else " " if category in ("Cs", "Cc", "Cn", "Co") else character


def _fold(text: str) -> str:
    """Remove diacritics and fold katakana into hiragana."""
    folded = DIACRITICS.sub("", unicodedata.normalize("NFD", text)).translate(BARRED)
    return unicodedata.normalize("NFC", folded).translate(HIRAGANA)
