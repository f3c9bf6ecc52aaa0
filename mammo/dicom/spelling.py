"""One spelling for what people, archives and file systems spell differently, in any script.

`Müller`, `MÜLLER`, `Mu` + combining diaeresis + `ller` (as a Mac writes file names), full-width letters: all the same;
and `Mueller` is one of the ways to spell it.
"""

from __future__ import annotations

import re
import unicodedata

GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
"""How names are written where there is no key for the letter."""

BARRED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h"}
)
"""Letters that Unicode does not take apart."""

HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
"""Of each katakana: the phonetic part of a name may be in either."""

DIACRITICS = re.compile("[\u0300-\u036f]")
"""Of Latin, Greek and Cyrillic; the marks of other scripts are vowels, and stay."""

DENSE = re.compile("[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+")
"""Chinese, Japanese, Korean: written without spaces, and names of one or two characters."""


def spellings(text: str) -> tuple[str, ...]:
    """One or two spellings of a text, equal for texts that a reader takes for the same."""
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(_harmless(character) for character in plain).casefold()
    composed = unicodedata.normalize("NFC", plain)
    return tuple(dict.fromkeys(_bare(each) for each in (composed, composed.translate(GERMAN))))


def words_of(text: str) -> list[str]:
    """Runs of letters with their marks, in order; a digit ends a word."""
    return "".join(c if unicodedata.category(c)[0] in "LM" else " " for c in text).split()


def camel_case_apart(text: str) -> str:
    """`LiNa` becomes `Li Na`."""
    apart = [
        f" {c}" if c.isupper() and before.islower() else c
        for before, c in zip(" " + text, text, strict=False)
    ]
    return "".join(apart)


def _harmless(character: str) -> str:
    """Nothing for what cannot be seen (direction marks, joiners); a space for what is no character at all."""
    category = unicodedata.category(character)
    return "" if category == "Cf" else " " if category in ("Cs", "Cc", "Cn", "Co") else character


def _bare(text: str) -> str:
    bare = DIACRITICS.sub("", unicodedata.normalize("NFD", text)).translate(BARRED)
    return unicodedata.normalize("NFC", bare).translate(HIRAGANA)
