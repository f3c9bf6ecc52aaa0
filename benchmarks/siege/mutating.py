"""Mutations of valid inputs: of their bytes, and of the values in their JSON."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

BYTES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"[",
    b"}",
    b'"',
    b"-1",
    b"1e400",
    b"NaN",
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    100,
    101,
    255,
    256,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**53,
    2**63,
    2**64,
    10**400,
    0.5,
    1e-300,
)
FLOATS = (-0.0, 1e6, 1e7, 1e300, math.inf, -math.inf, math.nan)
TEXTS = (
    "",
    "\0",
    "\ud800",
    "\uffff",
    "a" * 5000,
    "../../etc/passwd",
    "1e400",
    "[/b]",
    "\x1b[31m",
    "é",
    "NaN",
    "0",
)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, [0] * 3000, {"x": 5})
DEEP = {f"@{depth} deep@": b"[" * depth + b"]" * depth for depth in (3, 100, 300, 900, 100_000)}
"""Lists within lists, by the text that stands for them until the JSON is written."""


def mutated_bytes(data: bytes, dice: random.Random) -> bytes:
    """Return bytes changed in one to eight places: flipped, set, deleted, inserted, copied, swapped or cut off."""
    content = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4, 8))):
        at = dice.randrange(len(content) + 1)
        length = min(dice.choice((1, 1, 2, 4, 16, 256, 4096)), len(content) - at)
        match dice.randrange(7):
            case 0 if length:
                content[at] ^= 1 << dice.randrange(8)
            case 1 if length:
                content[at : at + length] = dice.randbytes(length)
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = dice.choice(BYTES) * dice.choice((1, 1, 3, 1000))
            case 4:
                content[at:at] = content[at : at + length] * dice.choice((1, 2, 50))
            case 5 if length:
                other = dice.randrange(len(content) - length + 1)
                content[at : at + length] = content[other : other + length]
            case _:
                del content[at:]
        if not content:
            break
    return bytes(content)


def mutated_json(value: Any, dice: random.Random) -> Any:
    """Return a JSON value in which one to four values, at any depth, are replaced, removed, repeated or renamed."""
    changed = copy.deepcopy(value)
    for _ in range(dice.choice((1, 1, 2, 4))):
        places = list(_places(changed))
        if not places:
            return _odd_value(dice)
        holder, key = dice.choice(places)
        match dice.randrange(8):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[dice.choice(TEXTS)] = holder.pop(key)
            case 2 if isinstance(holder, list):
                holder[key:key] = [holder[key]] * dice.choice((1, 2, 100))
            case 3:
                other, name = dice.choice(places)
                holder[key] = copy.deepcopy(other[name]) if name in _keys(other) else None
            case 4 if type(holder[key]) in (int, float):
                holder[key] = _near(holder[key], dice)
            case _:
                holder[key] = _odd_value(dice)
    return changed


def json_bytes(value: Any) -> bytes:
    """Return JSON as Python writes it, with NaN and lone surrogates."""
    content = json.dumps(value).encode()
    for name, deep in DEEP.items():
        content = content.replace(f'"{name}"'.encode(), deep)
    return content


def mutated_document(value: Any, dice: random.Random) -> bytes:
    """Return the JSON of a mutated value, or the mutated bytes of its JSON."""
    if dice.random() < 0.75:
        with suppress(RecursionError):  # a deep value was copied into itself
            return json_bytes(mutated_json(value, dice))
    return mutated_bytes(json_bytes(value), dice)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place of a value: a list or an object, and an index or a key. Long lists of numbers count as one."""
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = _keys(holder)
        inner = [key for key in keys if isinstance(holder[key], list | dict)]
        shown = keys if isinstance(holder, dict) or len(keys) < 50 else keys[:5]
        places += [(holder, key) for key in shown]
        waiting += [holder[key] for key in inner]
    return places


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def _near(number: float, dice: random.Random) -> float:
    changes: tuple[Callable[[float], float], ...] = (
        lambda n: n + 1,
        lambda n: n - 1,
        lambda n: -n,
        lambda n: n * 2,
        lambda n: n * 1000,
        lambda n: n / 3,
    )
    return dice.choice(changes)(number)


def _odd_value(dice: random.Random) -> Any:
    kind = dice.randrange(5)
    if kind == 4:
        return dice.choice(sorted(DEEP))
    return copy.deepcopy(dice.choice((NUMBERS, FLOATS, TEXTS, OTHERS)[kind]))
