"""LearnedFrom: what a model version learned from, as the manifest of its dataset version says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True, kw_only=True)
class LearnedFrom:
    """A dataset version in numbers. Only its fold `train` teaches; `test` is held out forever."""

    dataset_version: str
    project: int
    folds: tuple[FoldCounts, ...]
    readers: tuple[tuple[str, int], ...]
    """Pseudonyms of those whose corrections taught, and their images; most first."""

    views: tuple[tuple[str, int], ...]
    """Of the training images: such as `LCC`; `unknown` where an image states none."""

    excluded: int
    """Corrections that were left out."""

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as a JSON object."""
        return asdict(self) | {"readers": dict(self.readers), "views": dict(self.views)}

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
        taught = [item for item in items if item["fold"] == "train"]
        return LearnedFrom(
            dataset_version=dataset,
            project=int(manifest["project"]),
            folds=tuple(_counts(fold, [item for item in items if item["fold"] == fold]) for fold in FOLDS),
            readers=tuple(Counter(str(item["annotator"]) for item in taught).most_common()),
            views=tuple(Counter(str(item["view"] or "unknown") for item in taught).most_common()),
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
    )
