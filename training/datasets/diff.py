"""Difference between two dataset versions."""

from __future__ import annotations

from dataclasses import dataclass

from training.datasets.versions import DatasetVersion


@dataclass(frozen=True, kw_only=True)
class DatasetDiff:
    """Images by SHA-256, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """In both versions, with different truth: the annotation was corrected, or a newer one supersedes it."""

    same: int
    """Number of images in both versions with the same truth."""


def dataset_diff(before: DatasetVersion, after: DatasetVersion) -> DatasetDiff:
    """Compare two dataset versions image by image."""
    old = {item.image: item for item in before.items}
    new = {item.image: item for item in after.items}
    both = old.keys() & new.keys()
    changed = {image for image in both if old[image].findings != new[image].findings}
    return DatasetDiff(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(changed)),
        same=len(both) - len(changed),
    )
