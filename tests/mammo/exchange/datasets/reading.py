"""What a reader makes of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammo.dicom import read_mammogram
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions
from mammo.exchange.datasets.reading import READERS, Summary, read_dataset
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import Finding
from mammo.labelstudio import ControlTags

PATTERN = r"^([^_/]+)[_/]"
"""Of the miniatures: what stands before the first `_` or `/`."""


def read(kind: str, folder: Path, **options: Any) -> tuple[list[DatasetImage], list[Refusal]]:
    items = list(READERS[kind](DatasetOptions(kind=kind, folder=folder, **options)))
    return (
        [item for item in items if isinstance(item, DatasetImage)],
        [item for item in items if isinstance(item, Refusal)],
    )


def findings_of(image: DatasetImage) -> list[Finding]:
    return image.findings(read_mammogram(image.file).size)


def summary(kind: str, folder: Path, **options: Any) -> Summary:
    """What a dry run counts."""
    return read_dataset(DatasetOptions(kind=kind, folder=folder, **options), None, tags=ControlTags())
