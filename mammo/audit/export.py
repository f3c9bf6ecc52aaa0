"""Entries as rows of a CSV file, for people with a spreadsheet."""

from __future__ import annotations

from mammo.audit.entries import Entry

FIELDS = ("number", "at", "actor", "action", "subject", "reason", "previous", "hash")

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def csv_row(entry: Entry) -> list[str]:
    """Return the fields of an entry as text. One that a spreadsheet would compute is led by an apostrophe."""
    facts = entry.to_json()
    # A lone surrogate, which no file can hold, becomes its escape.
    values = [str(facts[name]).encode("utf-8", "backslashreplace").decode() for name in FIELDS]
    return [f"'{value}" if value.startswith(FORMULA) else value for value in values]
