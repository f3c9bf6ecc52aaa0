"""The index of a set: `index.json` in its folder, written last and atomically. A folder without one is no set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mammo.atomic_files import replacing
from mammo.backgrounds.background import Background, BackgroundSet
from mammo.blobs import SHA256
from mammo.errors import InvalidBackgrounds
from mammo.geometry import Box, Spacing

INDEX = "index.json"
FORMAT = 1


def write_index(backgrounds: BackgroundSet, folder: Path) -> None:
    """Write the index of a set; raises OSError: the folder cannot be written."""
    document = {
        "format": FORMAT,
        "name": backgrounds.name,
        "licence": backgrounds.licence,
        "source": backgrounds.source,
        "may_ship": backgrounds.may_ship,
        "patients_assumed": backgrounds.patients_assumed,
        "images": [_to_json(background) for background in backgrounds.backgrounds],
    }
    with replacing(folder / INDEX, durable=True) as part:
        part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_index(folder: Path) -> BackgroundSet:
    """Read the set in a folder that holds an index.

    Raises:
        InvalidBackgrounds: the index is damaged, or of a newer release (code `damaged_index`).
    """
    try:
        document = json.loads((folder / INDEX).read_bytes())
        if document["format"] != FORMAT or document["name"] != folder.name:
            raise ValueError("another format or name")
        return BackgroundSet(
            name=document["name"],
            licence=str(document["licence"]),
            source=str(document["source"]),
            may_ship=document["may_ship"] is True,
            patients_assumed=document["patients_assumed"] is True,
            backgrounds=tuple(_from_json(image, folder) for image in document["images"]),
        )
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        raise InvalidBackgrounds(
            f"the index of the background set {folder.name} is damaged, or of a newer release; "
            f"run `yolo-mlsam backgrounds remove {folder.name}` and add the set again",
            code="damaged_index",
        ) from None


def _to_json(background: Background) -> dict[str, Any]:
    spacing = background.spacing
    return {
        "file": background.path.name,
        "sha256": background.sha256,
        "spacing_mm": [spacing.row_mm, spacing.column_mm],
        "spacing_source": spacing.source,
        "patient": background.patient,
        "avoid": [box.as_tuple() for box in background.avoid],
    }


def _from_json(image: dict[str, Any], folder: Path) -> Background:
    row_mm, column_mm = (float(value) for value in image["spacing_mm"])
    name, patient = str(image["file"]), str(image["patient"])
    plain = Path(name).name == name and name != INDEX
    if not (plain and patient and row_mm > 0 and column_mm > 0 and SHA256.fullmatch(image["sha256"])):
        raise ValueError("a value is out of range")
    return Background(
        path=folder / name,
        spacing=Spacing(row_mm, column_mm, str(image["spacing_source"])),
        patient=patient,
        sha256=image["sha256"],
        avoid=tuple(Box(*(int(side) for side in box)) for box in image["avoid"]),
    )
