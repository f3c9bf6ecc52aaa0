"""Garbage collection: unreferenced blobs, and weights of versions that will not serve again.

A version stays in the registry for ever, because dataset versions, runs and predictions name it. Its weights may be
deleted if the version never served, has no alias, and is old enough. A note records the deletion, and its blobs become
garbage. A blob younger than the grace period may belong to a registration in progress and is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta

from mammo.blobs import BlobInfo, Blobs
from mammo.errors import InvalidWeights
from mammo.models.manifests import PARTS, sha256_of
from mammo.models.registry import UNUSABLE, ModelRegistry
from mammo.models.removal import removed_versions
from mammo.printable import printable

GRACE = timedelta(days=1)
"""Grace period of a blob: longer than any run takes from storing its blobs to registering them."""


def referenced_blobs(registry: ModelRegistry, *, without: Iterable[str] = ()) -> set[str]:
    """Return the SHA-256 of the weight files of all versions whose files were not removed.

    Args:
        without: Versions whose files are about to be removed.

    Raises:
        InvalidWeights: The manifest of a version does not name its files, which are then unknown.
    """
    removed = removed_versions(registry.notes()) | set(without)
    referenced: set[str] = set()
    for version in registry.versions():
        if version in removed:
            continue
        manifest = registry.manifest(version)
        for part in PARTS:
            digest = sha256_of(manifest, part)
            if digest is None:
                raise InvalidWeights(
                    f"the files of model version {printable(version)} are unknown, so none can be called unreferenced: "
                    f"{manifest.get(UNUSABLE)}; restore its row from a backup",
                    code="unusable_version",
                )
            referenced.add(digest)
    return referenced


def spent_versions(
    registry: ModelRegistry, *, older_than: timedelta, keep: Collection[str], now: datetime | None = None
) -> list[str]:
    """Return the versions older than `older_than` that never served and have no alias, oldest first.

    Args:
        keep: Versions needed elsewhere: by shadow mode, a project's pin, or an active run.
    """
    champions = {move.version for move in registry.history() if move.alias == "champion"}
    aliased = {
        alias.version for name in ("champion", "challenger", "previous") if (alias := registry.alias(name))
    }
    removed = removed_versions(registry.notes())
    cutoff = (now or datetime.now(UTC)) - older_than
    return [
        version
        for version in registry.versions()
        if version not in champions | aliased | removed | set(keep)
        and datetime.fromisoformat(registry.manifest(version)["created_at"]) < cutoff
    ]


def unreferenced(
    blobs: Blobs, referenced: Collection[str], *, grace: timedelta = GRACE, now: datetime | None = None
) -> list[BlobInfo]:
    """Return the unreferenced blobs that are older than the grace period."""
    cutoff = (now or datetime.now(UTC)) - grace
    return [blob for blob in blobs.all() if blob.digest not in referenced and blob.created_at < cutoff]


def collect(
    blobs: Blobs,
    registry: ModelRegistry,
    *,
    spent: Iterable[str],
    referenced: Callable[[], set[str]],
    grace: timedelta = GRACE,
    now: datetime | None = None,
) -> list[BlobInfo]:
    """Record the removal of versions' files, then delete all unreferenced blobs; returns the deleted blobs.

    The notes are written first: a crash in between leaves blobs for the next collection, and never a version whose
    files are missing without a note. A version that has an alias or serves a project by now keeps its files.

    Args:
        spent: Versions whose files are removed; see `spent_versions`.
        referenced: Returns the SHA-256 of all blobs in use; called after the notes, which say whose files are removed.

    Raises:
        StorageUnavailable: The blob store does not respond; deletions made so far persist.
    """
    for version in spent:
        registry.remove_files(version)
    garbage = unreferenced(blobs, referenced(), grace=grace, now=now)
    for blob in garbage:
        blobs.delete(blob.digest)
    return garbage
