"""What changed from one dataset version to another."""

from __future__ import annotations

from dataclasses import dataclass

from training.datasets.versions import DatasetVersion


@dataclass(frozen=True, kw_only=True)
class DatasetDiff:
    """Images by their SHA-256, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """In both, with another truth: the annotation was corrected, or a newer one counts."""

    same: int
    """How many images are in both, with the same truth."""


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
