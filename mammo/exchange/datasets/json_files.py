"""JSON of a data set: one object, no key twice, of reasonable length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mammo.exchange.datasets.contents import MAX_TABLE, invalid, repeated
from mammo.printable import printable


class _Twice(Exception):
    """A key of an object that is there twice; JSON readers take the last and say nothing."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice(min(repeated(key for key, _ in pairs)))
    return found


def read_object(path: Path) -> dict[str, Any]:
    """The object.

    Raises:
        MammoError: too long, no JSON, no object, or a key of an object that is there twice.
    """
    if path.stat().st_size > MAX_TABLE:
        raise invalid(f"{path.name} is longer than {MAX_TABLE} bytes")
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=_object)
    except _Twice as error:
        raise invalid(f"{path.name} has an object with two {printable(error, length=40)!r}") from None
    except (ValueError, RecursionError):
        raise invalid(f"{path.name} is no JSON") from None
    if not isinstance(document, dict):
        raise invalid(f"{path.name} is no JSON object")
    return document
