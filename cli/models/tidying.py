"""`models gc`: say what nothing refers to, and delete it on request."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console

from cli.models.site import open_registry
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.registry.garbage import collect, referenced_blobs, spent_versions, unreferenced
from mammo.runs import Runs
from mammo.settings import Settings


def gc(*, delete: bool, older_than: int) -> None:
    """List or delete garbage."""
    from training.dataset_versions import blobs_of_dataset_versions

    settings = Settings.load()
    registry, blobs = open_registry(settings), Blobs(settings.blobs)
    engine = open_database(settings.database)
    pinned = set(settings.pinned_models.values())
    spent = spent_versions(registry, older_than=timedelta(days=older_than), keep=pinned)

    def referenced() -> set[str]:
        kept = referenced_blobs(registry, without=spent) | blobs_of_dataset_versions(engine, blobs)
        return kept | Runs(engine).blobs()

    console = Console(soft_wrap=True, highlight=False)
    for version in spent:
        console.print(f"{version}: never served, older than {older_than} days; its manifest and verdict stay")
    if delete:
        gone = collect(blobs, registry, spent=spent, referenced=referenced)
        console.print(f"deleted {len(gone)} files, {sum(kept.bytes for kept in gone) / 1e6:.1f} MB")
    else:
        garbage = unreferenced(blobs, referenced())
        console.print(
            f"{len(garbage)} files, {sum(kept.bytes for kept in garbage) / 1e6:.1f} MB would go; "
            "nothing is deleted without --delete"
        )
