"""LearnedFrom: what a model version learned from, as the manifest of its dataset version says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any

import orjson

from mammo.blobs import Blobs
from mammo.errors import InvalidWeights

FOLDS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class FoldCounts:
    """How much is in one fold."""

    fold: str
    patients: int
    images: int
    findings: int
    readers: tuple[tuple[str, int], ...]
    """Pseudonyms of those who corrected, and their images; most first."""

    views: tuple[tuple[str, int], ...]
    """Images by view, such as `LCC`; `unknown` where an image states none."""

    density: tuple[tuple[str, int], ...]
    """Images by the breast density that their reader stated; `not stated` where nobody did."""

    spacing_mm: tuple[float, ...]
    """Quartiles of the pixel spacings that images state; empty if none does."""


@dataclass(frozen=True, kw_only=True)
class LearnedFrom:
    """A dataset version in numbers. Only its fold `train` teaches; `test` is held out forever."""

    dataset_version: str
    project: int
    folds: tuple[FoldCounts, ...]
    excluded: int
    """Corrections that were left out."""

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as a JSON object."""
        folds = [
            asdict(each) | {name: dict(getattr(each, name)) for name in ("readers", "views", "density")}
            for each in self.folds
        ]
        return asdict(self) | {"folds": folds, "readers": dict(self.readers), "views": dict(self.views)}

    @property
    def readers(self) -> tuple[tuple[str, int], ...]:
        """Those whose corrections taught, and their images."""
        return self.fold("train").readers

    @property
    def views(self) -> tuple[tuple[str, int], ...]:
        """Training images by view."""
        return self.fold("train").views

    def fold(self, name: str) -> FoldCounts:
        return next(each for each in self.folds if each.fold == name)


def learned_from(dataset: str, *, blobs: Blobs) -> LearnedFrom:
    """Read a dataset version.

    Args:
        dataset: its name, the SHA-256 of its manifest.

    Raises:
        InvalidWeights: the manifest is missing or damaged, or of a release whose manifests are not understood (code
            `old_dataset`).
        StorageUnavailable: the store does not respond.
    """
    manifest = orjson.loads(blobs.read(dataset))
    try:
        items: list[Mapping[str, Any]] = manifest["items"]
        return LearnedFrom(
            dataset_version=dataset,
            project=int(manifest["project"]),
            folds=tuple(_counts(fold, [item for item in items if item["fold"] == fold]) for fold in FOLDS),
            excluded=len(manifest["excluded"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidWeights(
            f"dataset version {dataset[:12]} has a manifest that this release does not understand; build a new one",
            code="old_dataset",
        ) from error


def _counts(fold: str, items: list[Mapping[str, Any]]) -> FoldCounts:
    return FoldCounts(
        fold=fold,
        patients=len({item["patient"] for item in items}),
        images=len(items),
        findings=sum(len(item["findings"]) for item in items),
        readers=_counted(str(item["annotator"]) for item in items),
        views=_counted(str(item["view"] or "unknown") for item in items),
        density=_counted(str(item.get("density") or "not stated") for item in items),
        spacing_mm=_quartiles([item["spacing_mm"] for item in items if item.get("spacing_mm") is not None]),
    )


def _counted(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(names).most_common())


def _quartiles(values: list[float]) -> tuple[float, ...]:
    found = quantiles(values, n=4) if len(values) > 1 else values * 3
    return tuple(round(value, 4) for value in found)
