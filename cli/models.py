"""`yolo-mlsam models`: look at the registry, roll back."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from mammo.database import open_database
from mammo.registry import STARTER, ModelRegistry
from mammo.settings import Settings


def list_versions() -> None:
    """Print every model version, newest last."""
    registry = _registry()
    champion = registry.champion().version
    table = Table("", "version", "parent", "recipe", "dataset version", "made")
    for version in registry.versions():
        manifest = registry.manifest(version)
        table.add_row(
            "champion" if version == champion else "",
            version,
            str(manifest.get("parent") or "-"),
            str(manifest.get("recipe") or "-"),
            str(manifest.get("dataset_version") or "-")[:12],
            str(manifest.get("created_at") or "-")[:19],
        )
    Console().print(table)


def roll_back(reason: str) -> None:
    """Move the champion alias back to the one before."""
    registry = _registry()
    before = registry.champion().version
    after = registry.roll_back(reason)
    Console().print(f"champion: {before} -> {after.version}")


def _registry() -> ModelRegistry:
    settings = Settings.load()
    registry = ModelRegistry(open_database(settings.database), settings.blobs)
    registry.ensure_starter(STARTER)
    return registry
