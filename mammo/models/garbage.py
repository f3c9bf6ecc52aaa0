"""Garbage: blobs that nothing refers to any more, and weights that nobody will serve again.

A version stays in the registry for ever, since dataset versions, runs and predictions name it. Its weights may go when
the version never served, is not an alias, and is old enough: then a note says so, and its blobs are garbage like any
other. A blob that is younger than the grace time may belong to a registration under way and is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta

from mammo.blobs import Blobs, Kept
from mammo.models.registry import PARTS, ModelRegistry

FILES_REMOVED = "files_removed"
GRACE = timedelta(days=1)
"""A run keeps its blobs long before it registers them; no run is that long between the two."""


def referenced_blobs(registry: ModelRegistry, *, without: Iterable[str] = ()) -> set[str]:
    """SHA-256 of every weight file that a version needs whose files were not given up.

    Args:
        without: versions whose files are about to be given up.
    """
    gone = {note.version for note in registry.notes() if note.kind == FILES_REMOVED} | set(without)
    manifests = (registry.manifest(version) for version in registry.versions() if version not in gone)
    return {manifest[part]["sha256"] for manifest in manifests for part in PARTS}


def spent_versions(
    registry: ModelRegistry, *, older_than: timedelta, keep: Collection[str], now: datetime | None = None
) -> list[str]:
    """Versions that never served, that no alias names, and that are older; oldest first.

    Args:
        keep: versions that something else needs: a shadow, a pin of a project, a run that has not ended.
    """
    served = {move.version for move in registry.history() if move.alias == "champion"}
    aliased = {
        found.version for name in ("champion", "challenger", "previous") if (found := registry.alias(name))
    }
    gone = {note.version for note in registry.notes() if note.kind == FILES_REMOVED}
    before = (now or datetime.now(UTC)) - older_than
    return [
        version
        for version in registry.versions()
        if version not in served | aliased | gone | set(keep)
        and datetime.fromisoformat(registry.manifest(version)["created_at"]) < before
    ]


def unreferenced(
    blobs: Blobs, referenced: Collection[str], *, grace: timedelta = GRACE, now: datetime | None = None
) -> list[Kept]:
    """Blobs that nothing refers to and that are older than the grace time."""
    before = (now or datetime.now(UTC)) - grace
    return [kept for kept in blobs.all() if kept.digest not in referenced and kept.since < before]


def collect(
    blobs: Blobs,
    registry: ModelRegistry,
    *,
    spent: Iterable[str],
    referenced: Callable[[], set[str]],
    grace: timedelta = GRACE,
    now: datetime | None = None,
) -> list[Kept]:
    """Give up the files of versions, then delete what nothing refers to; returns what was deleted.

    The notes come first: a crash between leaves blobs that the next collection finds, never a version whose files are
    missing without a word.

    Args:
        spent: versions whose files are given up, see `spent_versions`.
        referenced: what is referred to at the moment, all but these versions; asked again before the first deletion.

    Raises:
        StorageUnavailable: the store does not answer; what was deleted so far is deleted.
    """
    for version in spent:
        registry.note(version, FILES_REMOVED, {"reason": "it never served"})
    garbage = unreferenced(blobs, referenced(), grace=grace, now=now)
    for kept in garbage:
        blobs.delete(kept.digest)
    return garbage
