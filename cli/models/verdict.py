"""A verdict of the gate as a person reads it: the sentence, the numbers of both versions side by side, the rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

SECOND_SET = "newest"


def verdict_table(detail: Mapping[str, Any]) -> Table | None:
    """Champion and challenger side by side, on all test patients and on the newest; None without numbers.

    Args:
        detail: of the note `verdict` that a retrain leaves beside a model version.
    """
    told = detail.get("verdict") or {}
    if not told.get("champion") or not told.get("challenger"):
        return None
    table = Table("on the test patients", "champion", "challenger", "difference", "may fall by")
    for name, row in _rows(told):
        table.add_row(name, *row)
    return table


def verdict_sentences(detail: Mapping[str, Any]) -> list[str]:
    """What was decided, what it rests on, and what was asked."""
    told = detail.get("verdict") or {}
    sentences = [str(detail.get("reason") or told.get("reason") or "")]
    if "num_patients" in told:
        sentences.append(
            f"{told['num_patients']} patients, {told['num_images']} images, {told['num_truth']} clusters"
        )
    if told.get("difference") is not None and told.get("rule"):
        low, high = told["interval"]
        sentences[-1] += (
            f"; difference {told['difference']:+.3f} ({low:+.3f} to {high:+.3f}, 5th to 95th percentile of "
            f"{told['rule']['draws']} draws of patients), better in {told['confidence']:.1%} of them, "
            f"{told['rule']['confidence']:.0%} asked"
        )
    return [each for each in sentences if each]


def own_numbers(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What the gate measured of the version itself, for a comparison of two."""
    told = detail.get("verdict") or {}
    numbers = {
        f"test {name.replace('_', ' ')}": value
        for name, value in (told.get("challenger") or {}).items()
        if name != "version"
    }
    counts = {f"test {name}": told[f"num_{name}"] for name in ("patients", "images") if f"num_{name}" in told}
    return {"verdict": detail.get("reason"), **numbers, **counts}


def _rows(told: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    rule = told.get("rule") or {}
    margins = {
        f"sensitivity_{rule.get('guard_rate', 0):g}": rule.get("sensitivity_margin"),
        "dice": rule.get("dice_margin"),
    }
    old, new = told["champion"], told["challenger"]
    for name in new:
        if name != "version":
            yield _named(name, rule), _row(old.get(name), new[name], margins.get(name))
    second = told.get(SECOND_SET)
    if second:
        named = f"score, {second['num_patients']} newest patients"
        yield (
            named,
            _row(second["champion"]["primary"], second["challenger"]["primary"], rule.get("newest_margin")),
        )
    elif rule:
        yield f"score, newest patients: fewer than {rule['min_newest']}, or no cluster", ["-"] * 4


def _named(name: str, rule: Mapping[str, Any]) -> str:
    if name == "primary":
        return "score" + (f" ({rule['primary']}), must rise" if rule else "")
    if name.startswith("sensitivity_"):
        return f"sensitivity at {name.removeprefix('sensitivity_')} false positives per image"
    return "Dice, all clusters" if name == "dice" else name


def _row(old: float | None, new: float | None, margin: float | None) -> list[str]:
    return [
        "-" if old is None else f"{old:.3f}",
        "-" if new is None else f"{new:.3f}",
        "-" if old is None or new is None else f"{new - old:+.3f}",
        "" if margin is None else f"{margin:g}",
    ]
