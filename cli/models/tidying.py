"""`models gc`: say what nothing refers to, and delete it on request."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console

from mammo.models import ModelRegistry
from mammo.models.garbage import collect, referenced_blobs, spent_versions, unreferenced
from mammo.runs import Runs
from mammo.settings import PREFIX, Settings
from mammo.site import Site


def gc(*, delete: bool, older_than: int) -> None:
    """List or delete garbage."""
    from training.datasets.versions import blobs_of_dataset_versions

    site = Site.load()
    registry, blobs, engine = site.registry, site.blobs, site.engine
    console = Console(soft_wrap=True, highlight=False)
    kept_for = versions_in_use(site.settings, registry, Runs(engine))
    for name, why in kept_for.items():
        told = (
            f"kept for {why}" if registry.find(name) else f"{why} names it, and the registry does not know it"
        )
        console.print(f"{name}: {told}")
    spent = spent_versions(registry, older_than=timedelta(days=older_than), keep=kept_for)

    def referenced() -> set[str]:
        kept = referenced_blobs(registry, without=spent) | blobs_of_dataset_versions(engine, blobs)
        return kept | Runs(engine).blobs()

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


def versions_in_use(settings: Settings, registry: ModelRegistry, runs: Runs) -> dict[str, str]:
    """Versions that something other than an alias still needs, and what that is."""
    named = [(settings.shadow, f"{PREFIX}SHADOW")] if settings.shadow else []
    named += [
        (version, f"project {project} in {PREFIX}PROJECT_MODELS")
        for project, version in settings.pinned_models.items()
    ]
    unfinished = runs.unfinished()
    for version in registry.versions():
        run = registry.manifest(version).get("run")
        if run in unfinished:
            named.append((version, f"run {run}, which has not ended or can be resumed"))
    found: dict[str, str] = {}
    for name, why in named:
        version = registry.find(name) or name
        found[version] = f"{found[version]} and {why}" if version in found else why
    return found
