"""The report of a verdict: a self-contained HTML file that needs no script, and the parts a page of it shares."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mammo.identifiers import pseudonym
from mammo.runs import Run
from mammo.verdicts import drawing
from mammo.verdicts.archive import VerdictArchive
from mammo.verdicts.figure_names import figure_name
from mammo.verdicts.places import KINDS, places
from mammo.verdicts.record import Picture, VerdictRecord
from mammo.verdicts.strata import PARTS, strata

TEMPLATES = Path(__file__).parent / "templates"

MAX_BYTES = 20 * 2**20
"""Of the pictures in a report; the places that follow have none, and the report says how many."""

Address = Callable[[Picture], str | None]
"""Returns where a picture is; None if it is left out."""


def verdict_facts(record: VerdictRecord, run: Run, *, address: Address, level: int = 0) -> dict[str, Any]:
    """Return what the templates show.

    Args:
        address: called with the pictures in the order of the page, worst place first.
        level: index of the whole image's size.
    """
    found = places(record)
    crops = {each.key: record.crops.get(each.key) for each in found}
    addresses = {key: address(crop) if crop else None for key, crop in crops.items()}
    numbers = list(dict.fromkeys(each.number for each in found))
    whole = {}
    for number in numbers:
        levels = record.images[number].levels
        picture = levels[min(level, len(levels) - 1)] if levels else None
        whole[number] = (picture, address(picture) if picture else None)
    return {
        "record": record,
        "run": run,
        "places": found,
        "counts": Counter(each.kind for each in found),
        "kinds": KINDS,
        "parts": PARTS,
        "crops": crops,
        "addresses": addresses,
        "numbers": numbers,
        "whole": whole,
        "without_picture": sum(each is None for each in addresses.values()),
        "rows": figure_rows(record.verdict),
        "strata": strata(record),
        "drawing": drawing,
    }


def figure_rows(verdict: Mapping[str, Any]) -> list[tuple[str, float | None, float | None, float | None]]:
    """Return the gate's figures: name, champion's, challenger's, and the loss that is allowed."""
    old, new, rule = verdict["champion"], verdict["challenger"], verdict["rule"]
    margins = {
        f"sensitivity_{rule['guard_rate']:g}": rule["sensitivity_margin"],
        "dice": rule["dice_margin"],
        "false_positives": rule["false_positive_margin"],
    }
    rows = []
    for key in new:
        if key != "version":
            rows.append((figure_name(key), old[key], new[key], margins.get(key)))
    if verdict["newest"]:
        second = verdict["newest"]
        name = f"score, {second['num_patients']} newest patients"
        rows.append(
            (name, second["champion"]["primary"], second["challenger"]["primary"], rule["newest_margin"])
        )
    if untouched := verdict.get("untouched"):  # of an adaptation
        rows.append(
            ("findings per untouched image shown", untouched["champion"], untouched["challenger"], 0.0)
        )
    if test := verdict.get("test"):
        name = f"score, {test['num_patients']} frozen test patients"
        rows.append((name, test["champion"]["primary"], test["challenger"]["primary"], 0.0))
    return rows


def write_report(run: Run, *, archive: VerdictArchive, max_bytes: int = MAX_BYTES) -> str:
    """Return the HTML of a run's verdict.

    Args:
        max_bytes: of all pictures; the worst places are kept.

    Raises:
        UnknownRun, InvalidWeights, StorageUnavailable: see `VerdictArchive.read`.
    """
    record = archive.read(run)
    embedded: dict[str, str] = {}
    left = max_bytes

    def address(picture: Picture) -> str | None:
        nonlocal left
        if picture.sha256 not in embedded:
            if picture.bytes > left:
                return None
            left -= picture.bytes
            content = base64.b64encode(archive.picture(picture)).decode("ascii")
            embedded[picture.sha256] = f"data:image/webp;base64,{content}"
        return embedded[picture.sha256]

    facts = verdict_facts(record, run, address=address)
    return environment().get_template("report.html").render(facts, max_mib=max_bytes / 2**20)


def environment() -> Environment:
    """Return the environment of the templates. Every value is escaped; an unknown name is an error."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["pseudonym"] = pseudonym
    return templates
