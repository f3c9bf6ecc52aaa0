"""The data sheet of a dataset version (after Gebru et al., "Datasheets for Datasets"): counts, never an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any

import orjson

from backend.evidence_pack.part import Part, Row, Table
from mammo.blobs import Blobs
from mammo.errors import InvalidWeights

FOLDS = ("train", "validation", "test")
FILE, TITLE = "dataset.json", "Data"


def data_sheet(dataset: str | None, *, blobs: Blobs) -> Part:
    """Describe a dataset version.

    Args:
        dataset: its name; None: there is none.

    Raises:
        InvalidWeights: its manifest is missing or damaged, or of a release that is not understood (`old_dataset`).
        StorageUnavailable: the store does not respond.
    """
    if dataset is None:
        return Part(
            file=FILE,
            title=TITLE,
            content=b"null\n",
            sentences=("No correction of this project has taught the model that serves it.",),
        )
    manifest = orjson.loads(blobs.read(dataset))
    try:
        items: list[Mapping[str, Any]] = manifest["items"]
        sheet = {
            "dataset_version": dataset,
            "schema": manifest["schema"],
            "folds": {fold: _counts([item for item in items if item["fold"] == fold]) for fold in FOLDS},
            "left_out": dict(Counter(str(each.get("code", "other")) for each in manifest["excluded"])),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidWeights(
            f"dataset version {dataset[:12]} has a manifest that this release does not understand; build a new one",
            code="old_dataset",
        ) from error
    folds: dict[str, Any] = sheet["folds"]
    return Part(
        file=FILE,
        title=TITLE,
        content=orjson.dumps(sheet, option=orjson.OPT_INDENT_2),
        sentences=(
            f"Dataset version {dataset}. Its name is the SHA-256 of its manifest, so that it cannot change.",
            "No patient is in two folds. The fold test is held out forever, and only the gate looks at it.",
            f"{len(manifest['excluded'])} corrections were left out.",
        ),
        tables=(
            _table("How much", "", ("patients", "images", "findings"), folds),
            *(
                _table(
                    caption,
                    key,
                    tuple(dict.fromkeys(name for each in folds.values() for name in each[key])),
                    folds,
                )
                for caption, key in (
                    ("Images by view", "views"),
                    ("Images by reader (pseudonyms)", "readers"),
                    ("Exams' breast density, images", "density"),
                    ("Pixel spacing in mm", "spacing_mm"),
                )
            ),
        ),
    )


def _counts(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "patients": len({item["patient"] for item in items}),
        "images": len(items),
        "findings": sum(len(item["findings"]) for item in items),
        "views": dict(Counter(str(item["view"] or "not stated") for item in items).most_common()),
        "readers": dict(Counter(str(item["annotator"]) for item in items).most_common()),
        "density": dict(Counter(_density(item) for item in items).most_common()),
        "spacing_mm": _spread([item["spacing_mm"] for item in items]),
    }


def _density(item: Mapping[str, Any]) -> str:
    return str(item.get("density") or "not stated")


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Return the quartiles of the stated values."""
    stated = [value for value in values if value is not None]
    quartiles = quantiles(stated, n=4) if len(stated) > 1 else stated * 3
    rounded = [round(value, 4) for value in quartiles]
    return {"quartiles": rounded or "none", "not stated": len(values) - len(stated)}


def _table(caption: str, key: str, columns: Row, folds: Mapping[str, Any]) -> Table:
    rows = []
    for fold, counts in folds.items():
        values = counts[key] if key else counts
        rows.append((fold, *(str(values.get(column, 0)) for column in columns)))
    return Table(caption=caption, columns=("fold", *columns), rows=tuple(rows))
