"""JSON that others wrote, kept as it came.

Label Studio is written in Python, whose JSON holds values that orjson refuses: lone surrogates, `NaN` and `Infinity`,
whole numbers beyond 64 bits, numbers like 1e400. An event must not be lost for one of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from reprlib import Repr
from typing import Any

import numpy as np
import orjson

MAX_DIGITS = 300
"""Digits of the longest number that stays whole; a longer one, which no float can hold, becomes infinite."""


_NINES = bytes(ord("9") if chr(byte).isdecimal() else byte for byte in range(128)) + bytes(range(128, 256))
_LONG = b"9" * 19
"""A whole number with this many digits may have more than 64 bits, and orjson would round it to a float."""


_SHOWN = Repr()
_SHOWN.maxlevel = 3
_SHOWN.maxstring = _SHOWN.maxlong = _SHOWN.maxother = 200


class _NotFinite(float):
    """NaN or infinity. A class of its own, because orjson refuses it, but writes a plain one as `null`."""


def loads(data: bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: it is no JSON, or nested more than about 1,000 levels deep.
    """
    if _LONG not in data.translate(_NINES):
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
    try:
        return json.loads(data, parse_int=_whole, parse_float=_number, parse_constant=_NotFinite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value: sorted keys, no spaces, numpy arrays as lists. `loads` reads it back equal.

    Raises:
        ValueError: the value is no JSON, or nested too deeply.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        pass
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_listed)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"it cannot be written as JSON: {error}") from None
    return text.encode()  # ASCII: surrogates are escaped


def dumps(value: Any, *, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return JSON that every program reads. A lone surrogate becomes the text of its escape, such as `\\ud800`.

    Args:
        default: as for `orjson.dumps`.

    Raises:
        TypeError: the value is no JSON.
    """
    try:
        return orjson.dumps(value, default=default)
    except orjson.JSONEncodeError:
        return orjson.dumps(_without_surrogates(value), default=default)


def shown(value: object) -> str:
    """Return a value for a message. It may be of any depth and length, and is abbreviated then."""
    return _SHOWN.repr(value)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(each) for each in value]
    return float(value) if isinstance(value, _NotFinite) else value


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else _NotFinite(float(digits))


def _number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _NotFinite(number)


def _listed(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON")
