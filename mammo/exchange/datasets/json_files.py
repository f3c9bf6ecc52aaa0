"""JSON of a data set: one object of limited size in which no key is repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mammo.exchange.datasets.contents import invalid, read_table, repeated
from mammo.printable import printable


class _RepeatedKey(Exception):
    """A repeated key of an object; Python's JSON parser would silently use its last value."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _RepeatedKey(min(repeated(key for key, _ in pairs)))
    return document


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file with one object.

    Raises:
        MammoError: the file cannot be opened, is too long, is not a JSON object, or contains an object with a repeated
            key (code `invalid_dataset`).
    """
    content = read_table(path)
    try:
        document = json.loads(content, object_pairs_hook=_object)
    except _RepeatedKey as error:
        raise invalid(f"{path.name} has an object with two keys {printable(error, length=40)!r}") from None
    except (ValueError, RecursionError):
        raise invalid(f"{path.name} is not JSON") from None
    if not isinstance(document, dict):
        raise invalid(f"expected an object in {path.name}, got another JSON value")
    return document
