"""The gate's verdict for people: its sentence, the figures of both versions side by side, and the rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

SECOND_SET = "newest"


def verdict_table(detail: Mapping[str, Any]) -> Table | None:
    """Return champion and challenger side by side, on all test patients and on the newest; None without figures.

    Args:
        detail: content of the note `verdict`, which a retrain attaches to a model version.
    """
    verdict = detail.get("verdict") or {}
    if not verdict.get("champion") or not verdict.get("challenger"):
        return None
    table = Table("on the test patients", "champion", "challenger", "difference", "margin of loss")
    for name, row in _rows(verdict):
        table.add_row(name, *row)
    return table


def verdict_sentences(detail: Mapping[str, Any]) -> list[str]:
    """Return the decision, the evidence, and the required confidence, as sentences."""
    verdict = detail.get("verdict") or {}
    sentences = [str(detail.get("reason") or verdict.get("reason") or "")]
    if "num_patients" in verdict:
        sentences.append(
            f"{verdict['num_patients']} patients, {verdict['num_images']} images, {verdict['num_truth']} clusters"
        )
    if verdict.get("difference") is not None and verdict.get("rule"):
        low, high = verdict["interval"]
        sentences[-1] += (
            f"; difference {verdict['difference']:+.3f} ({low:+.3f} to {high:+.3f}, 5th to 95th percentile of "
            f"{verdict['rule']['draws']} draws of patients), better in {verdict['confidence']:.1%} of them, "
            f"{verdict['rule']['confidence']:.0%} required"
        )
    return [each for each in sentences if each]


def own_numbers(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return the gate's figures of the version itself, to compare two versions."""
    verdict = detail.get("verdict") or {}
    numbers = {
        f"test {name.replace('_', ' ')}": value
        for name, value in (verdict.get("challenger") or {}).items()
        if name != "version"
    }
    counts = {
        f"test {name}": verdict[f"num_{name}"] for name in ("patients", "images") if f"num_{name}" in verdict
    }
    return {"verdict": detail.get("reason"), **numbers, **counts}


def _rows(verdict: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    rule = verdict.get("rule") or {}
    margins = {
        f"sensitivity_{rule.get('guard_rate', 0):g}": rule.get("sensitivity_margin"),
        "dice": rule.get("dice_margin"),
        "false_positives": rule.get("false_positive_margin"),
    }
    old, new = verdict["champion"], verdict["challenger"]
    for name in new:
        if name != "version":
            yield _named(name, rule), _row(old.get(name), new[name], margins.get(name))
    second = verdict.get(SECOND_SET)
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
    names = {"dice": "Dice, all clusters", "false_positives": "false positives per image, operating point"}
    return names.get(name, name)


def _row(old: float | None, new: float | None, margin: float | None) -> list[str]:
    return [
        "-" if old is None else f"{old:.3f}",
        "-" if new is None else f"{new:.3f}",
        "-" if old is None or new is None else f"{new - old:+.3f}",
        "" if margin is None else f"{margin:g}",
    ]
