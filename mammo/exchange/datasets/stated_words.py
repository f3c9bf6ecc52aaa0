"""Words of BI-RADS that a data set states about a finding or an exam, in its own spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mammo.printable import printable

SYNONYMS = {
    "morphology": {
        "pleomorphic": "fine pleomorphic",
        "linear": "fine linear or branching",
        "fine linear": "fine linear or branching",
        "punctate": "round",
        "popcorn": "coarse or popcorn-like",
        "popcorn-like": "coarse or popcorn-like",
        "rod-like": "large rod-like",
        "eggshell": "rim",
        "lucent-centered": "rim",
        "benign": "typically benign",
    },
    "distribution": {"clustered": "grouped"},
}
"""Words of earlier editions of BI-RADS and of phantoms, in lower case."""


def stated_words(
    said: Mapping[str, object], *, of: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], list[str]]:
    """Return the words that are understood, by descriptor, and descriptions of those that are not.

    Args:
        said: descriptor -> what a data set states, of any type; further keys are skipped.
        of: `OF_FINDINGS` or `OF_EXAMS`.
    """
    words: dict[str, str] = {}
    unread: list[str] = []
    for name, allowed in of.items():
        value = said.get(name)
        if value is None or value == "":
            continue
        spelling = " ".join(str(value).replace("_", " ").split()).casefold()
        by_spelling = {**SYNONYMS.get(name, {}), **{word.casefold(): word for word in allowed}}
        if isinstance(value, str | int) and spelling in by_spelling:
            words[name] = by_spelling[spelling]
        else:
            unread.append(f"{name} {printable(str(value), length=40)!r}")
    return words, unread
