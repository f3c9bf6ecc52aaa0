"""Pixel spacing, laterality and view of an image, as task data, tables and JSON state them.

A value that cannot be parsed is refused. If it were ignored, lengths would be measured with an assumed spacing.
"""

from __future__ import annotations

import json
import math
import re
from typing import Literal

from mammo.errors import InvalidTaskData
from mammo.geometry import Spacing
from mammo.lenient_json import shown

PLAUSIBLE_MM = (0.01, 1.0)
"""Accepted pixel spacings, in mm: digital detectors have 0.05 to 0.1 mm, digitised film 0.02 to 0.2 mm."""

VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB")
"""DICOM's abbreviations of the projections, as `mammo.dicom.projection` reads them."""

MAX_TEXT = 100
"""Maximum length of a number written as text, in characters."""

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
    """Parse a pixel spacing in millimetres.

    Accepted are a number, its text (with a decimal point or comma), or a pair (row, column). A pair may be text, in
    DICOM notation (`0.07\\0.07`) or as JSON (`[0.07, 0.07]`, as CSV files contain lists).

    Returns:
        A spacing with source `given`; None for a missing value (None, blank text, NaN or an empty list).

    Raises:
        InvalidTaskData: any other value, or a number outside `PLAUSIBLE_MM` (code `spacing`).
    """
    values = _numbers(value)
    if not values:
        return None
    low, high = PLAUSIBLE_MM
    if len(values) > 2 or not all(low <= each <= high for each in values):
        raise _invalid_spacing("one or two numbers", value)
    return Spacing(values[0], values[-1], "given")


def decimal(text: str) -> float:
    """Parse a number with a decimal point or comma.

    Raises:
        ValueError: the text is not such a number; thousands separators are not accepted.
    """
    stripped = text.strip()
    if len(stripped) > MAX_TEXT or not _DECIMAL.fullmatch(stripped):
        raise ValueError("expected a number with a decimal point or comma")
    return float(stripped.replace(",", "."))


def stated_laterality(value: object) -> Literal["L", "R"] | None:
    """Parse a laterality: L, R, left or right in any case; None for a missing value.

    Raises:
        InvalidTaskData: any other value (code `laterality`).
    """
    side = _SIDES.get(_word(value))
    if side is None and _word(value):
        raise InvalidTaskData(
            "expected the laterality L, R, LEFT or RIGHT; correct it or leave it out", code="laterality"
        )
    return "L" if side == "L" else "R" if side == "R" else None


def stated_view(value: object) -> str | None:
    """Parse a view, given by its abbreviation or full name; return the abbreviation, or None for a missing value.

    Raises:
        InvalidTaskData: any other value (code `view`).
    """
    word = _word(value)
    view = word if word in VIEWS else _VIEW_WORDS.get(re.sub(r"[\s_-]", "", word))
    if view is None and word:
        raise InvalidTaskData(
            f"expected one of the views {', '.join(VIEWS)}; correct it or leave it out", code="view"
        )
    return view


MAX_DEPTH = 3
"""Depth of lists in a stated spacing; one of a text in a list is deeper than any program writes."""

MAX_NUMBER = 1e9


def _word(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value.strip().upper() if isinstance(value, str) else "?"


def _numbers(value: object, *, depth: int = 0) -> list[float]:
    """Return the numbers of a spacing; empty for a missing value."""
    if value is None:
        return []
    if isinstance(value, bool):
        raise _invalid_spacing("a number", value)
    if isinstance(value, int | float):
        if abs(value) > MAX_NUMBER:
            raise _invalid_spacing("a number", value)
        return [] if math.isnan(value) else [float(value)]
    if isinstance(value, str):
        return _numbers_of_text(value.strip())
    if isinstance(value, list | tuple) and len(value) <= 2 and depth < MAX_DEPTH:
        parts = [_numbers(each, depth=depth + 1) for each in value]
        if all(len(part) == 1 for part in parts):
            return [part[0] for part in parts]
        if not any(parts):
            return []
    raise _invalid_spacing("one or two numbers", value)


def _numbers_of_text(text: str) -> list[float]:
    if not text:
        return []
    if len(text) > MAX_TEXT:
        raise _invalid_spacing("a number", text)
    if text.startswith("["):
        try:
            return _numbers(json.loads(text))
        except (ValueError, RecursionError):
            raise _invalid_spacing("one or two numbers", text) from None
    try:
        return [decimal(part) for part in text.split("\\")]
    except ValueError:
        raise _invalid_spacing("a number such as 0.07", text) from None


def _invalid_spacing(expected: str, value: object) -> InvalidTaskData:
    low, high = PLAUSIBLE_MM
    actual = (
        shown(value)[:40] if isinstance(value, str | int | float | list | tuple) else type(value).__name__
    )
    return InvalidTaskData(
        f"spacing_mm: expected {expected} from {low} to {high:g}, in millimetres per pixel, got {actual}; correct it "
        "or leave it out",
        code="spacing",
    )
