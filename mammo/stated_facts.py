"""Stated facts: the pixel spacing, breast and view that task data, tables and JSON state for an image.

A value that is there and cannot be understood is refused. Were it passed over, lengths would be measured with a
spacing that somebody else assumed.
"""

from __future__ import annotations

import json
import math
import re
from typing import Literal

from mammo.errors import InvalidTaskData
from mammo.geometry import Spacing

PLAUSIBLE_MM = (0.01, 1.0)
"""Detectors of mammography lie between 0.05 and 0.1 mm, digitised film from 0.02 to 0.2 mm."""

VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB")
"""DICOM's short names of the projections, as `mammo.dicom.projection` reads them."""

MAX_TEXT = 100
_DECIMAL = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_SIDES = {"L": "L", "LEFT": "L", "R": "R", "RIGHT": "R"}
_VIEW_WORDS = {
    "CRANIOCAUDAL": "CC",
    "MEDIOLATERALOBLIQUE": "MLO",
    "MEDIOLATERAL": "ML",
    "LATEROMEDIAL": "LM",
    "LATEROMEDIALOBLIQUE": "LMO",
}


def stated_spacing(value: object) -> Spacing | None:
    """Millimetres per pixel: a number, its text (with a decimal comma, too), or one or two of them, row and column.

    Text of two numbers is divided as DICOM (`0.07\\0.07`) or as JSON (`[0.07, 0.07]`, what a CSV makes of a list).

    Returns:
        Of source `given`; None where nothing is stated: None, blank text, NaN, an empty list.

    Raises:
        InvalidTaskData: something else, or outside `PLAUSIBLE_MM` (code `spacing`).
    """
    values = _numbers(value)
    if not values:
        return None
    low, high = PLAUSIBLE_MM
    if len(values) > 2 or not all(low <= each <= high for each in values):
        raise _bad_spacing("one or two numbers", value)
    return Spacing(values[0], values[-1], "given")


def decimal(text: str) -> float:
    """A number with a point or a comma before its decimals.

    Raises:
        ValueError: no such number; a comma that divides thousands is none.
    """
    stripped = text.strip()
    if len(stripped) > MAX_TEXT or not _DECIMAL.fullmatch(stripped):
        raise ValueError("no number")
    return float(stripped.replace(",", "."))


def stated_laterality(value: object) -> Literal["L", "R"] | None:
    """The breast: L, R, left or right in any case; None where nothing is stated.

    Raises:
        InvalidTaskData: something else (code `laterality`).
    """
    side = _SIDES.get(_word(value))
    if side is None and _word(value):
        raise InvalidTaskData("a laterality is L, R, LEFT or RIGHT, or left out", code="laterality")
    return "L" if side == "L" else "R" if side == "R" else None


def stated_view(value: object) -> str | None:
    """The projection's short name, out of it or of its long name; None where nothing is stated.

    Raises:
        InvalidTaskData: something else (code `view`).
    """
    word = _word(value)
    view = word if word in VIEWS else _VIEW_WORDS.get(re.sub(r"[\s_-]", "", word))
    if view is None and word:
        raise InvalidTaskData(f"a view is one of {', '.join(VIEWS)}, or left out", code="view")
    return view


def _word(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value.strip().upper() if isinstance(value, str) else "?"


def _numbers(value: object) -> list[float]:
    """Whatever numbers are stated; none where nothing is."""
    if value is None:
        return []
    if isinstance(value, bool):
        raise _bad_spacing("a number", value)
    if isinstance(value, int | float):
        return [] if math.isnan(value) else [float(value)]
    if isinstance(value, str):
        return _numbers_of_text(value.strip())
    if isinstance(value, list | tuple) and len(value) <= 2:
        parts = [_numbers(each) for each in value]
        if all(len(part) == 1 for part in parts):
            return [part[0] for part in parts]
        if not any(parts):
            return []
    raise _bad_spacing("one or two numbers", value)


def _numbers_of_text(text: str) -> list[float]:
    if not text:
        return []
    if len(text) > MAX_TEXT:
        raise _bad_spacing("a number", text)
    if text.startswith("["):
        try:
            return _numbers(json.loads(text))
        except (ValueError, RecursionError):
            raise _bad_spacing("one or two numbers", text) from None
    try:
        return [decimal(part) for part in text.split("\\")]
    except ValueError:
        raise _bad_spacing("a number such as 0.07", text) from None


def _bad_spacing(wanted: str, value: object) -> InvalidTaskData:
    low, high = PLAUSIBLE_MM
    shown = repr(value)[:40] if isinstance(value, str | int | float | list | tuple) else type(value).__name__
    return InvalidTaskData(
        f"spacing_mm is {wanted} from {low} to {high:g}, in millimetres per pixel, got {shown}; mend it or leave it "
        "out",
        code="spacing",
    )
